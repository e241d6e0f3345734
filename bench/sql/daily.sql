WITH voted AS (
    SELECT count(*) AS votes,
           coalesce(sum(amount_of_estimations), 0) AS estimations,
           count(DISTINCT room_id) AS rooms
    FROM votes WHERE voted_at > $since
),
viewed AS (
    SELECT count(DISTINCT user_id) AS unique_users, count(*) AS page_views
    FROM page_views WHERE viewed_at > $since
)
FROM voted, viewed
