-- Questions about all events: those of the collector, and the history in PostgreSQL.

-- @name event_history
-- @type materialized_view
-- @object event_history
-- @description The events of the earlier service, in the shape of the table `events`.
-- @order at, event_id
-- @filter event_name [=, in]
-- @filter user_id [=]
-- @filter at [>=, <=]
-- @limit 1000 100000
-- @unit metadata json
-- @column event_id Its id, a hash
-- @column user_id Who did it
-- @column event_name What happened
-- @column metadata Further properties, a JSON object
-- @column at When it happened; NULL if unknown
-- @test unique(event_id)
SELECT
    event_id,
    user_id,
    event_name,
    metadata::JSON AS metadata,
    "timestamp" AS "at"
FROM "public.events"
ORDER BY "at", event_id;

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
SELECT
    (SELECT count(*) FROM events WHERE "at" BETWEEN $from_ts AND $to_ts)
    + (
        SELECT count(*) FROM event_history AS old
        WHERE "at" BETWEEN $from_ts AND $to_ts
            AND NOT EXISTS (SELECT 1 FROM events AS new WHERE new.event_id = old.event_id)
    ) AS count;

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
done AS (
    SELECT name AS event_name, "at" FROM events
    UNION ALL
    SELECT event_name, "at" FROM event_history AS old
    WHERE NOT EXISTS (SELECT 1 FROM events AS new WHERE new.event_id = old.event_id)
),
counted AS (
    SELECT event_name, count(*) AS count
    FROM done CROSS JOIN span
    WHERE seconds IS NULL
        OR ("at" <= now() AND "at" >= make_timestamptz(epoch_us(now()) - seconds * 1000000))
    GROUP BY event_name
    ORDER BY count DESC, event_name
    LIMIT $limit
)
SELECT
    coalesce(
        list({'event_name': event_name, 'count': count} ORDER BY count DESC, event_name),
        []
    ) AS top_events
FROM counted;

-- @name active_users
-- @type report
-- @description Users with an event in a window up to now.
-- | A window of 30m, 24h or 7d is exactly so long. Events of the future are not in it.
-- @param window duration 24h
-- | Minutes, hours or days, such as 30m, 24h or 7d
-- @route /analytics/users/active
-- @one
-- @column active_users Number of users
-- @column window The window
WITH span AS (
    SELECT CASE right($window, 1) WHEN 'm' THEN 60 WHEN 'h' THEN 3600 ELSE 86400 END
        * left($window, -1)::BIGINT AS seconds
),
done AS (
    SELECT user_id, "at" FROM events
    UNION ALL
    SELECT user_id, "at" FROM event_history
)
SELECT count(DISTINCT user_id) AS active_users, $window AS window
FROM done CROSS JOIN span
WHERE "at" <= now() AND "at" >= make_timestamptz(epoch_us(now()) - seconds * 1000000);

-- @name user_events
-- @type report
-- @description The newest events of one user.
-- | A user without events has an empty list. Events without a time come last.
-- @param user_id text
-- | The user
-- @param limit integer 10 1..1000
-- | Number of events
-- @route /analytics/user/{user_id}/events
-- @one
-- @unit events json
-- @column user_id The user
-- @column events List of events: `event_name`, `metadata`, an object, and `timestamp` in UTC
WITH done AS (
    SELECT event_id, name AS event_name, properties::JSON AS metadata, "at"
    FROM events
    WHERE user_id = $user_id
    UNION ALL
    SELECT event_id, event_name, metadata::JSON AS metadata, "at"
    FROM event_history AS old
    WHERE user_id = $user_id
        AND NOT EXISTS (SELECT 1 FROM events AS new WHERE new.event_id = old.event_id)
),
newest AS (
    SELECT * FROM done ORDER BY "at" DESC NULLS LAST, event_id DESC LIMIT $limit
)
SELECT
    $user_id AS user_id,
    coalesce(
        to_json(
            list(
                {
                    'event_name': event_name,
                    'metadata': metadata,
                    'timestamp': strftime("at" AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')
                }
                ORDER BY "at" DESC NULLS LAST, event_id DESC
            )
        ),
        '[]'::JSON
    ) AS events
FROM newest;

-- @name active_users_by_day
-- @type report
-- @description Users and events of the last days, with the history.
-- | One row per day of the time zone, also of days without events.
-- @param days integer 30 1..400
-- | Number of days, today included
-- @order day
-- @column day The day of the time zone
-- @column active_users Number of users
-- @column events Number of events
WITH done AS (
    SELECT user_id, "at" FROM events
    UNION ALL
    SELECT user_id, "at" FROM event_history AS old
    WHERE NOT EXISTS (SELECT 1 FROM events AS new WHERE new.event_id = old.event_id)
),
days AS (
    SELECT current_date - unnest(range($days))::INTEGER AS day
),
counted AS (
    SELECT "at"::DATE AS day, count(DISTINCT user_id) AS active_users, count(*) AS events
    FROM done
    WHERE "at" <= now()
    GROUP BY ALL
)
SELECT
    day,
    coalesce(active_users, 0) AS active_users,
    coalesce(events, 0) AS events
FROM days LEFT JOIN counted USING (day)
ORDER BY day;

-- @name events_over_time
-- @type report
-- @description Events over time by name, up to now, with the history.
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
done AS (
    SELECT name, "at" FROM events
    UNION ALL
    SELECT event_name AS name, "at" FROM event_history AS old
    WHERE NOT EXISTS (SELECT 1 FROM events AS new WHERE new.event_id = old.event_id)
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
    FROM done CROSS JOIN span
    WHERE "at" <= now() AND "at" >= make_timestamptz(epoch_us(now()) - seconds * 1000000)
),
top AS (
    SELECT name FROM recent GROUP BY name ORDER BY count(*) DESC, name LIMIT $names
)
SELECT "at", top.name, count(*) AS events
FROM recent LEFT JOIN top USING (name)
GROUP BY "at", top.name
ORDER BY "at", top.name;
