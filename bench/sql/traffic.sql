-- Total session time = pauses up to ten minutes + ten seconds per session: no sessions built.
-- Windows over a hash of the user take half the time of windows over the 21 characters.
WITH activity AS (
    SELECT hash(user_id) AS visitor, epoch_us(viewed_at) AS moment
    FROM page_views WHERE viewed_at > $history_start
    UNION ALL
    SELECT hash(user_id), epoch_us(estimated_at)
    FROM estimations WHERE estimated_at > $history_start
),
steps AS (
    SELECT moment - lag(moment) OVER (PARTITION BY visitor ORDER BY moment) AS pause
    FROM activity
),
pauses AS (
    SELECT count(*) AS events,
           count(*) FILTER (pause <= 600000000) AS pauses,
           sum(pause) FILTER (pause <= 600000000) / 1000000 AS seconds
    FROM steps
),
viewers AS (
    SELECT count(DISTINCT hash(user_id)) AS unique_users, count(*) AS page_views
    FROM page_views
),
estimators AS (
    SELECT count(DISTINCT hash(user_id)) AS estimators
    FROM estimations WHERE estimated_at > $history_start
)
SELECT unique_users,
       page_views,
       greatest(unique_users - estimators, 0) / unique_users AS bounce_rate,
       (seconds + (events - pauses) * 10) / (events - pauses) / 60 AS average_duration
FROM viewers, estimators, pauses
