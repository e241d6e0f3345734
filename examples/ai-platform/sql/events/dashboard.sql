-- @name dashboard
-- @type report
-- @description The figures of the product's own dashboard.
-- | Today is the day in UTC, a week is 7 times and a month 30 times 24 hours. A session is the
-- | events of a user with pauses of at most 30 minutes; sessions are those that began in the last
-- | month, and one with a single event is a bounce.
-- @route /api/analytics/dashboard
-- @one
-- @zone UTC
-- @column overview total_users, active_users_today, active_users_week, active_users_month
-- @column engagement avg_session_duration in seconds, page_views_today, bounce_rate from 0 to 1
-- @column content courses_completed_today, lessons_watched_today, total_watch_time_minutes
-- | Lessons are the different ones that each user played today; watch time is the sum of
-- | watched_seconds of all video_play
-- @column top_pages The ten most viewed pages of the last month: page, views, unique_visitors
-- @column updated_at Up to when events were counted
WITH seen AS (
    SELECT
        "at",
        name,
        user_id,
        properties,
        "at" >= current_date::TIMESTAMPTZ AS is_today,
        "at" >= make_timestamptz(epoch_us(now()) - 7 * 86400000000) AS is_this_week,
        "at" >= make_timestamptz(epoch_us(now()) - 30 * 86400000000) AS is_this_month
    FROM events
    WHERE "at" <= now()
),
paused AS (
    SELECT
        user_id,
        "at",
        is_this_month,
        epoch_us("at") - lag(epoch_us("at")) OVER one_user > 1800000000 AS is_new
    FROM seen
    WHERE user_id IS NOT NULL
    WINDOW one_user AS (PARTITION BY user_id ORDER BY "at")
),
numbered AS (
    SELECT
        user_id,
        "at",
        is_this_month,
        count(*) FILTER (WHERE is_new) OVER (
            PARTITION BY user_id ORDER BY "at" ROWS UNBOUNDED PRECEDING
        ) AS session
    FROM paused
),
sessions AS (
    SELECT
        (epoch_us(max("at")) - epoch_us(min("at"))) / 1000000 AS seconds,
        count(*) AS events
    FROM numbered
    GROUP BY user_id, session
    HAVING bool_and(is_this_month)
),
pages AS (
    SELECT
        properties->>'$.page' AS page,
        count(*) AS views,
        count(DISTINCT user_id) AS unique_visitors
    FROM seen
    WHERE name = 'page_view' AND is_this_month AND (properties->>'$.page') <> ''
    GROUP BY page
    ORDER BY views DESC, page
    LIMIT 10
),
figures AS (
    SELECT
        count(DISTINCT user_id) AS total_users,
        count(DISTINCT user_id) FILTER (WHERE is_today) AS active_users_today,
        count(DISTINCT user_id) FILTER (WHERE is_this_week) AS active_users_week,
        count(DISTINCT user_id) FILTER (WHERE is_this_month) AS active_users_month,
        count(*) FILTER (WHERE is_today AND name = 'page_view') AS page_views_today,
        count(*) FILTER (WHERE is_today AND name = 'course_complete') AS courses_completed_today,
        count(DISTINCT (user_id, properties->>'$.lesson_id'))
            FILTER (WHERE is_today AND name = 'video_play') AS lessons_watched_today,
        coalesce(
            sum(try_cast(properties->>'$.watched_seconds' AS DOUBLE))
                FILTER (WHERE name = 'video_play'),
            0
        ) / 60 AS total_watch_time_minutes
    FROM seen
)
SELECT
    {
        'total_users': total_users,
        'active_users_today': active_users_today,
        'active_users_week': active_users_week,
        'active_users_month': active_users_month
    } AS overview,
    {
        'avg_session_duration': coalesce((SELECT avg(seconds) FROM sessions), 0),
        'page_views_today': page_views_today,
        'bounce_rate': coalesce((SELECT avg((events = 1)::INTEGER) FROM sessions), 0)
    } AS engagement,
    {
        'courses_completed_today': courses_completed_today,
        'lessons_watched_today': lessons_watched_today,
        'total_watch_time_minutes': total_watch_time_minutes
    } AS content,
    (
        SELECT
            coalesce(
                list(
                    {'page': page, 'views': views, 'unique_visitors': unique_visitors}
                    ORDER BY views DESC, page
                ),
                []
            )
        FROM pages
    ) AS top_pages,
    now() AS updated_at
FROM figures;
