-- @name user_retention
-- @type materialized_view
-- @object user_retention
-- @description Weekly retention of users.
-- | A cohort is all users whose first page view or estimation falls into the same week.
-- | One row per cohort and week since then, up to the last week with any activity;
-- | a week without activity has 0 active users. Weeks begin on Monday in the time zone.
-- @order cohort_week, week_number
-- @filter cohort_week [=, >=, <=]
-- @filter week_number [=, >=, <=]
-- @limit 1000 100000
-- @column cohort_week Monday of the week of the first activity
-- @column week_number Weeks since the cohort's week, 0 for the week itself
-- @column users Users of the cohort
-- @column active_users Users of the cohort who viewed a page or estimated in this week
-- @column retention Share of the cohort that was active in this week
-- @unit week_number weeks
-- @unit retention share from 0 to 1
-- @test unique(cohort_week, week_number)
-- @test not_null(cohort_week, week_number, users, active_users, retention)
-- @test SELECT * FROM user_retention
-- | WHERE active_users > users OR (week_number = 0 AND active_users <> users)
WITH activity AS (
    SELECT user_id, date_trunc('week', viewed_at::DATE)::DATE AS week
    FROM fpp_page_views
    WHERE user_id IS NOT NULL AND viewed_at IS NOT NULL
    UNION
    SELECT user_id, date_trunc('week', estimated_at::DATE)::DATE
    FROM fpp_estimations
    WHERE user_id IS NOT NULL AND estimated_at IS NOT NULL
),
first_weeks AS (
    SELECT user_id, min(week) AS cohort_week FROM activity GROUP BY user_id
),
cohorts AS (
    SELECT cohort_week, count(*) AS users FROM first_weeks GROUP BY cohort_week
),
active AS (
    SELECT cohort_week, (week - cohort_week) // 7 AS week_number, count(*) AS active_users
    FROM activity JOIN first_weeks USING (user_id)
    GROUP BY ALL
),
weeks AS (
    SELECT cohort_week, users, unnest(range((last_week - cohort_week) // 7 + 1)) AS week_number
    FROM cohorts CROSS JOIN (SELECT max(week) AS last_week FROM activity)
)
SELECT
    cohort_week,
    week_number,
    users,
    coalesce(active_users, 0) AS active_users,
    coalesce(active_users, 0) / users AS retention
FROM weeks LEFT JOIN active USING (cohort_week, week_number);

-- @name room_retention
-- @type materialized_view
-- @object room_retention
-- @description Weekly retention of rooms.
-- | A cohort is all rooms whose first vote falls into the same week. One row per cohort
-- | and week since then, up to the last week with any vote; a week without votes has 0
-- | active rooms. Weeks begin on Monday in the time zone. Deleted rooms count, too.
-- @order cohort_week, week_number
-- @filter cohort_week [=, >=, <=]
-- @filter week_number [=, >=, <=]
-- @limit 1000 100000
-- @column cohort_week Monday of the week of the first vote
-- @column week_number Weeks since the cohort's week, 0 for the week itself
-- @column rooms Rooms of the cohort
-- @column active_rooms Rooms of the cohort that voted in this week
-- @column retention Share of the cohort that voted in this week
-- @unit week_number weeks
-- @unit retention share from 0 to 1
-- @test unique(cohort_week, week_number)
-- @test not_null(cohort_week, week_number, rooms, active_rooms, retention)
-- @test SELECT * FROM room_retention
-- | WHERE active_rooms > rooms OR (week_number = 0 AND active_rooms <> rooms)
WITH activity AS (
    SELECT DISTINCT room_id, date_trunc('week', voted_at::DATE)::DATE AS week
    FROM fpp_votes
    WHERE room_id IS NOT NULL AND voted_at IS NOT NULL
),
first_weeks AS (
    SELECT room_id, min(week) AS cohort_week FROM activity GROUP BY room_id
),
cohorts AS (
    SELECT cohort_week, count(*) AS rooms FROM first_weeks GROUP BY cohort_week
),
active AS (
    SELECT cohort_week, (week - cohort_week) // 7 AS week_number, count(*) AS active_rooms
    FROM activity JOIN first_weeks USING (room_id)
    GROUP BY ALL
),
weeks AS (
    SELECT cohort_week, rooms, unnest(range((last_week - cohort_week) // 7 + 1)) AS week_number
    FROM cohorts CROSS JOIN (SELECT max(week) AS last_week FROM activity)
)
SELECT
    cohort_week,
    week_number,
    rooms,
    coalesce(active_rooms, 0) AS active_rooms,
    coalesce(active_rooms, 0) / rooms AS retention
FROM weeks LEFT JOIN active USING (cohort_week, week_number);
