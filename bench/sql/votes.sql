WITH totals AS (
    SELECT count(*) AS total_votes,
           sum(amount_of_estimations) AS total_estimations,
           avg(amount_of_estimations) AS avg_estimations_per_vote,
           avg(amount_of_spectators) AS avg_spectators_per_vote,
           avg(duration) / 60 AS avg_duration_per_vote,
           avg(avg_estimation) AS avg_estimation,
           avg(min_estimation) AS avg_min_estimation,
           avg(max_estimation) AS avg_max_estimation
    FROM votes
),
weekdays AS (
    SELECT day(voted_at) AS date, count(*) AS count FROM votes GROUP BY date
),
per_weekday AS (
    SELECT isodow(date) AS weekday, any_value(dayname(date)) AS key, sum(count) AS count
    FROM weekdays GROUP BY weekday
),
per_value AS (
    SELECT estimation AS key, count(*) AS count
    FROM estimations WHERE estimation IS NOT NULL GROUP BY key
)
SELECT totals.*,
       (SELECT list({key: key, count: count} ORDER BY weekday) FROM per_weekday)
           AS weekday_counts,
       (SELECT list({key: key, count: count} ORDER BY key) FROM per_value)
           AS estimation_counts
FROM totals
