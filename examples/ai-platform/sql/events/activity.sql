-- @name activity_days
-- @type materialized_view
-- @object activity_days
-- @description Events and users by day, of the old table and of the events since then.
-- | Days are in UTC. On the day of the change there is a row of each.
-- @order day, origin
-- @filter day [=, >=, <=]
-- @filter origin [=]
-- @limit 1000 100000
-- @zone UTC
-- @column day The day
-- @column origin `history` for the old table, `events` for what came since
-- @column events Number of events
-- @column users Number of users with an event
-- @test unique(day, origin)
-- @test not_null(day, origin, events, users)
SELECT ts::DATE AS day, 'history' AS origin, count(*) AS events, count(DISTINCT user_id) AS users
FROM "public.events"
GROUP BY ALL
UNION ALL
SELECT "at"::DATE, 'events', count(*), count(DISTINCT user_id)
FROM events
GROUP BY ALL
ORDER BY day, origin;
