-- Grouped once, by route and source together, so each distinct source is matched once.
WITH views AS MATERIALIZED (
    SELECT route, source, count(*) AS count FROM page_views GROUP BY ALL
),
per_route AS (
    SELECT coalesce(route, 'Unknown') AS key, sum(count) AS count FROM views GROUP BY key
),
per_event AS (
    SELECT coalesce(event, 'Unknown') AS key, count(*) AS count FROM events GROUP BY key
),
per_source AS (
    SELECT key, sum(count) AS count
    FROM (
        SELECT CASE
                   WHEN contains(source, 'teams.') THEN 'Teams'
                   WHEN contains(source, 'ads.') OR contains(source, 'google_ads')
                       THEN 'Google Ads'
                   WHEN contains(source, 'www.google.com') THEN 'Google Search'
                   WHEN contains(source, 'free-planning-poker.com')
                       THEN 'Free Planning Poker'
                   WHEN contains(source, 'cv') THEN 'CV'
                   WHEN contains(source, 'email') THEN 'Email'
                   WHEN contains(source, 'github.com') THEN 'GitHub'
                   WHEN contains(source, 'bing.com') THEN 'Bing'
                   ELSE 'Other'
               END AS key,
               count
        FROM views WHERE source IS NOT NULL
        UNION ALL SELECT 'Other', 0
    )
    GROUP BY key
),
per_room AS (
    SELECT coalesce(name, 'Unknown') AS key, sum(count) AS count
    FROM (SELECT room_id AS id, count(*) AS count FROM votes GROUP BY room_id)
    LEFT JOIN rooms USING (id)
    GROUP BY key
    ORDER BY count DESC, key
    LIMIT 40
)
SELECT (SELECT list({key: key, count: count} ORDER BY key) FROM per_route) AS routes,
       (SELECT list({key: key, count: count} ORDER BY count DESC, key) FROM per_event)
           AS events,
       (SELECT list({key: key, count: count} ORDER BY count DESC, key) FROM per_source)
           AS sources,
       (SELECT list({key: key, count: count} ORDER BY count DESC, key) FROM per_room)
           AS rooms
