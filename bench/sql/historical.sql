WITH listed AS (
    SELECT date::DATE AS date
    FROM generate_series($start::TIMESTAMP, $today::TIMESTAMP, INTERVAL 1 DAY) AS t(date)
    WHERE isodow(date) <= 5
),
new_users AS (SELECT day(created_at) AS date, count(*) AS count FROM users GROUP BY date),
views AS (SELECT day(viewed_at) AS date, count(*) AS count FROM page_views GROUP BY date),
new_rooms AS (
    SELECT day(first_used_at) AS date, count(*) AS count FROM rooms GROUP BY date
),
estimated AS (
    SELECT day(estimated_at) AS date, count(*) AS count FROM estimations GROUP BY date
),
voted AS (SELECT day(voted_at) AS date, count(*) AS count FROM votes GROUP BY date),
days AS (
    SELECT date,
           coalesce(new_users.count, 0) AS new_users,
           coalesce(views.count, 0) AS page_views,
           coalesce(new_rooms.count, 0) AS rooms,
           coalesce(estimated.count, 0) AS estimations,
           coalesce(voted.count, 0) AS votes
    FROM listed
    LEFT JOIN new_users USING (date)
    LEFT JOIN views USING (date)
    LEFT JOIN new_rooms USING (date)
    LEFT JOIN estimated USING (date)
    LEFT JOIN voted USING (date)
),
running AS (
    SELECT *,
           sum(new_users) OVER so_far AS acc_new_users,
           sum(page_views) OVER so_far AS acc_page_views,
           sum(rooms) OVER so_far AS acc_rooms,
           sum(estimations) OVER so_far AS acc_estimations,
           sum(votes) OVER so_far AS acc_votes,
           sum(new_users) OVER lately AS last_new_users,
           sum(page_views) OVER lately AS last_page_views,
           sum(rooms) OVER lately AS last_rooms,
           sum(estimations) OVER lately AS last_estimations,
           sum(votes) OVER lately AS last_votes,
           CASE WHEN count(*) OVER lately = 30 THEN 30 END AS full_window
    FROM days
    WINDOW so_far AS (ORDER BY date),
           lately AS (ORDER BY date ROWS 29 PRECEDING)
)
SELECT list(
    {
        date: date,
        new_users: new_users,
        page_views: page_views,
        rooms: rooms,
        estimations: estimations,
        votes: votes,
        acc_new_users: acc_new_users,
        acc_page_views: acc_page_views,
        acc_rooms: acc_rooms,
        acc_estimations: acc_estimations,
        acc_votes: acc_votes,
        ma_new_users: round(last_new_users / full_window, 2),
        ma_page_views: round(last_page_views / full_window, 2),
        ma_rooms: round(last_rooms / full_window, 2),
        ma_estimations: round(last_estimations / full_window, 2),
        ma_votes: round(last_votes / full_window, 2)
    } ORDER BY date
) AS historical
FROM running
