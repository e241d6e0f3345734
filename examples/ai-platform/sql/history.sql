-- @name history_days
-- @type materialized_view
-- @object history_days
-- @description Events and users of the old table by day and type.
-- | Days are in UTC. The old service wrote the table public.events until it was replaced.
-- @order day, type
-- @filter day [=, >=, <=]
-- @filter type [=, in]
-- @limit 1000 100000
-- @zone UTC
-- @column day The day
-- @column type What happened
-- @column events Number of events
-- @column users Number of users with such an event
-- @test unique(day, type)
-- @test not_null(day, type, events, users)
-- @test SELECT 1 WHERE (SELECT coalesce(sum(events), 0) FROM history_days)
-- | <> (SELECT count(*) FROM "public.events")
SELECT ts::DATE AS day, type, count(*) AS events, count(DISTINCT user_id) AS users
FROM "public.events"
GROUP BY ALL
ORDER BY ALL;
