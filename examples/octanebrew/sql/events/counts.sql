-- @name events_count
-- @type report
-- @description How many events happened in a range.
-- | The range includes both ends.
-- @param from_ts timestamp
-- | First instant; without an offset it is in UTC
-- @param to_ts timestamp
-- | Last instant
-- @route /analytics/events/count
-- @one
-- @zone UTC
-- @column count Number of events
SELECT count(*) AS count FROM events WHERE "at" BETWEEN $from_ts AND $to_ts;

-- @name top_events
-- @type report
-- @description The most frequent names of events.
-- | Of all time or, with a window, of the time up to now. Equal numbers are in the order
-- | of the names.
-- @param limit integer 5 1..1000
-- | Number of names
-- @param window duration null
-- | Such as 30m, 24h or 7d; all time without it
-- @route /analytics/top-events
-- @one
-- @column top_events List of names, `event_name`, and their numbers of events, `count`
WITH span AS (
    SELECT CASE right($window, 1) WHEN 'm' THEN 60 WHEN 'h' THEN 3600 ELSE 86400 END
        * left($window, -1)::BIGINT AS seconds
),
counted AS (
    SELECT name AS event_name, count(*) AS count
    FROM events CROSS JOIN span
    WHERE seconds IS NULL
        OR ("at" <= now() AND "at" >= make_timestamptz(epoch_us(now()) - seconds * 1000000))
    GROUP BY name
    ORDER BY count DESC, event_name
    LIMIT $limit
)
SELECT
    coalesce(
        list({'event_name': event_name, 'count': count} ORDER BY count DESC, event_name),
        []
    ) AS top_events
FROM counted;

-- @name events_over_time
-- @type report
-- @description Events over time by name, up to now.
-- | One row per interval and name, without intervals that have no event. The most
-- | frequent names have rows of their own, all others are together, without a name.
-- @param window duration 24h
-- | Such as 30m, 24h or 7d. Up to 3h the intervals are minutes, up to 72h hours, else days
-- @param names integer 8 1..50
-- | How many names have rows of their own
-- @order at, name
-- @column at Beginning of the interval
-- @column name Name of the events; NULL for all others
-- @column events Number of events
WITH span AS (
    SELECT CASE right($window, 1) WHEN 'm' THEN 60 WHEN 'h' THEN 3600 ELSE 86400 END
        * left($window, -1)::BIGINT AS seconds
),
recent AS (
    SELECT
        CASE
            -- date_trunc would take the hour before the clocks go back for the one after.
            WHEN seconds <= 10800
                THEN make_timestamptz(epoch_us("at") - microsecond("at"))
            WHEN seconds <= 259200
                THEN make_timestamptz(
                    epoch_us("at") - microsecond("at") - 60000000 * minute("at")
                )
            ELSE date_trunc('day', "at")
        END AS "at",
        name
    FROM events CROSS JOIN span
    WHERE "at" <= now() AND "at" >= make_timestamptz(epoch_us(now()) - seconds * 1000000)
),
top AS (
    SELECT name FROM recent GROUP BY name ORDER BY count(*) DESC, name LIMIT $names
)
SELECT "at", top.name, count(*) AS events
FROM recent LEFT JOIN top USING (name)
GROUP BY "at", top.name
ORDER BY "at", top.name;

-- @name event_days
-- @type materialized_view
-- @object event_days
-- @description Events and users by day and name.
-- | Days are those of the time zone, by when the events happened. Events without a user
-- | count as events.
-- @order day, name
-- @filter day [=, >=, <=]
-- @filter name [=, in]
-- @limit 1000 100000
-- @column day The day
-- @column name Name of the events
-- @column events Number of events
-- @column users Number of users with such an event
-- @test unique(day, name)
-- @test not_null(day, name, events, users)
-- @test SELECT * FROM event_days WHERE users > events OR events < 1
-- @test SELECT 1 WHERE (SELECT coalesce(sum(events), 0) FROM event_days)
-- | <> (SELECT count(*) FROM events)
SELECT "at"::DATE AS day, name, count(*) AS events, count(DISTINCT user_id) AS users
FROM events
GROUP BY ALL
ORDER BY ALL;
