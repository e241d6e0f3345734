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
)
SELECT count(DISTINCT user_id) AS active_users, $window AS window
FROM events CROSS JOIN span
WHERE "at" <= now() AND "at" >= make_timestamptz(epoch_us(now()) - seconds * 1000000);

-- @name user_events
-- @type report
-- @description The newest events of one user.
-- | With USER_ID_KEY, users are known by their pseudonyms. A user without events has an
-- | empty list.
-- @param user_id text
-- | The user, as it is stored
-- @param limit integer 10 1..1000
-- | Number of events
-- @route /analytics/user/{user_id}/events
-- @one
-- @unit events json
-- @column user_id The user
-- @column events List of events: `event_name`, `metadata`, an object, and `timestamp` in UTC
WITH newest AS (
    SELECT * FROM events WHERE user_id = $user_id
    ORDER BY "at" DESC, event_id DESC LIMIT $limit
)
SELECT
    $user_id AS user_id,
    coalesce(
        to_json(
            list(
                {
                    'event_name': name,
                    'metadata': properties::JSON,
                    'timestamp': strftime("at" AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')
                }
                ORDER BY "at" DESC, event_id DESC
            )
        ),
        '[]'::JSON
    ) AS events
FROM newest;

-- @name daily_active_users
-- @type report
-- @description Users with an event today, in UTC.
-- @route /api/analytics/reports/dau
-- @one
-- @zone UTC
-- @column dau Number of users
-- @column date The day
-- @column period Always 24h
-- @column updated_at Up to when events were counted
SELECT
    count(DISTINCT user_id) AS dau,
    current_date AS date,
    '24h' AS period,
    now() AS updated_at
FROM events
WHERE "at" >= current_date::TIMESTAMPTZ AND "at" <= now();

-- @name active_users_by_day
-- @type report
-- @description Active users of the last days, up to now.
-- | One row per day of the time zone, also of days without events.
-- @param days integer 30 1..400
-- | Number of days, today included
-- @order day
-- @column day The day
-- @column active_users Users with an event
-- @column events Number of events
WITH days AS (
    SELECT unnest(range($days))::INTEGER AS ago
),
active AS (
    SELECT "at"::DATE AS day, count(DISTINCT user_id) AS active_users, count(*) AS events
    FROM events
    WHERE "at" <= now()
    GROUP BY ALL
)
SELECT
    current_date - ago AS day,
    coalesce(active_users, 0) AS active_users,
    coalesce(events, 0) AS events
FROM days LEFT JOIN active ON day = current_date - ago
ORDER BY day;

-- @name active_users_by_week
-- @type report
-- @description Active users of the last weeks, up to now.
-- | One row per week of the time zone, also of weeks without events. Weeks begin on Monday.
-- @param weeks integer 12 1..400
-- | Number of weeks, this one included
-- @order week
-- @column week The Monday
-- @column active_users Users with an event
-- @column events Number of events
WITH weeks AS (
    SELECT (date_trunc('week', current_date)::DATE - 7 * unnest(range($weeks))::INTEGER) AS week
),
active AS (
    SELECT
        date_trunc('week', "at"::DATE)::DATE AS week,
        count(DISTINCT user_id) AS active_users,
        count(*) AS events
    FROM events
    WHERE "at" <= now()
    GROUP BY ALL
)
SELECT week, coalesce(active_users, 0) AS active_users, coalesce(events, 0) AS events
FROM weeks LEFT JOIN active USING (week)
ORDER BY week;

-- @name active_users_by_month
-- @type report
-- @description Active users of the last months, up to now.
-- | One row per month of the time zone, also of months without events.
-- @param months integer 12 1..120
-- | Number of months, this one included
-- @order month
-- @column month First day of the month
-- @column active_users Users with an event
-- @column events Number of events
WITH months AS (
    SELECT
        (
            date_trunc('month', current_date)
            - INTERVAL 1 MONTH * unnest(range($months))::INTEGER
        )::DATE AS month
),
active AS (
    SELECT
        date_trunc('month', "at"::DATE)::DATE AS month,
        count(DISTINCT user_id) AS active_users,
        count(*) AS events
    FROM events
    WHERE "at" <= now()
    GROUP BY ALL
)
SELECT month, coalesce(active_users, 0) AS active_users, coalesce(events, 0) AS events
FROM months LEFT JOIN active USING (month)
ORDER BY month;
