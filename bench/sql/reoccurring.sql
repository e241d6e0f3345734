-- A user becomes active on the second day or after a lapse, and lapses after 30 days.
WITH seen AS (
    SELECT DISTINCT 'user' AS kind, hash(user_id) AS who, day(estimated_at) AS date
    FROM estimations
    UNION ALL
    SELECT DISTINCT 'room', room_id::UBIGINT, day(estimated_at) FROM estimations
),
days AS (
    SELECT kind,
           date,
           row_number() OVER visits AS visit,
           lag(date) OVER visits AS before,
           lead(date) OVER visits AS after
    FROM seen
    WHERE date BETWEEN $start AND $today AND isodow(date) <= 5
    WINDOW visits AS (PARTITION BY kind, who ORDER BY date)
),
changes AS (
    SELECT kind, date,
           count(*) FILTER (visit = 2) AS known,
           count(*) FILTER (visit = 2 OR date - before > 30) AS active
    FROM days WHERE visit >= 2 GROUP BY ALL
    UNION ALL
    SELECT kind, date + 31, 0, -count(*)
    FROM days WHERE visit >= 2 AND (after IS NULL OR after - date > 30) GROUP BY ALL
),
per_date AS (
    SELECT date,
           sum(known) FILTER (kind = 'user') AS known_users,
           sum(known) FILTER (kind = 'room') AS known_rooms,
           sum(active) FILTER (kind = 'user') AS active_users,
           sum(active) FILTER (kind = 'room') AS active_rooms
    FROM changes GROUP BY date
),
running AS (
    SELECT calendar.date::DATE AS date,
           coalesce(sum(known_users) OVER so_far, 0) AS reoccurring_users,
           coalesce(sum(known_rooms) OVER so_far, 0) AS reoccurring_rooms,
           coalesce(sum(active_users) OVER so_far, 0) AS adjusted_reoccurring_users,
           coalesce(sum(active_rooms) OVER so_far, 0) AS adjusted_reoccurring_rooms
    FROM generate_series($start::TIMESTAMP, $today::TIMESTAMP, INTERVAL 1 DAY)
        AS calendar(date)
    LEFT JOIN per_date ON calendar.date::DATE = per_date.date
    WINDOW so_far AS (ORDER BY calendar.date)
)
SELECT list(
    {
        date: date,
        reoccurring_users: reoccurring_users,
        reoccurring_rooms: reoccurring_rooms,
        adjusted_reoccurring_users: adjusted_reoccurring_users,
        adjusted_reoccurring_rooms: adjusted_reoccurring_rooms
    } ORDER BY date
) AS reoccurring
FROM running
WHERE isodow(date) <= 5
