-- @name search_analytics
-- @type report
-- @description What people search for, in all channels.
-- | The browser and the service each report a search. A search_query within five seconds of
-- | a search with the same text counts once.
-- @param app_id text
-- | The application, such as openstream
-- @param days integer 28 1..3650
-- | How many times 24 hours before now
-- @param limit integer 10 1..1000
-- | Number of texts
-- @order count desc, query
-- @column query The text
-- @column count How often it was searched for
WITH searches AS (
    SELECT name, properties->>'$.query' AS query, "at"
    FROM events
    WHERE coalesce(app_id, 'unknown') = $app_id
        AND name IN ('search', 'search_query')
        AND (properties->>'$.query') <> ''
        AND "at" <= now()
        AND "at" >= make_timestamptz(epoch_us(now()) - $days * 86400000000)
),
reported AS (
    SELECT
        name,
        query,
        count(*) FILTER (WHERE name = 'search') OVER (
            PARTITION BY query
            ORDER BY epoch_us("at")
            RANGE BETWEEN 5000000 PRECEDING AND 5000000 FOLLOWING
        ) AS by_service
    FROM searches
)
SELECT query, count(*) AS count
FROM reported
WHERE name = 'search' OR by_service = 0
GROUP BY query
ORDER BY count DESC, query
LIMIT $limit;

-- @name engagement_trend
-- @type report
-- @description Comments, likes and shares of a channel over time.
-- | By day from seven days on, else by hour, as in chronological_trend. What the browser and
-- | the service both report of one video within five seconds counts once.
-- @param app_id text
-- | The application, such as openstream
-- @param channel_id text
-- | The channel
-- @param days integer 28 1..3650
-- | How many times 24 hours before now
-- @order bucket
-- @column bucket Beginning of the day or hour
-- @column comments Events comment, comment_add and chat_message
-- @column likes Events like and video_like, less the likes that were taken back
-- @column shares Events share, video_share and video_share_click
WITH located AS (
    SELECT
        e."at",
        e.event_id,
        e.name,
        coalesce(e.user_id, 'anonymous') AS user_id,
        e.properties,
        e.properties->>'$.video_id' AS video_id,
        nullif(nullif(e.properties->>'$.channel_id', ''), 'global') AS own_channel_id,
        coalesce(
            own_channel_id, v.channel_id, e.properties->>'$.channel_id'
        ) AS channel_id
    FROM events AS e
    LEFT JOIN video_channels AS v
        ON v.app_id = coalesce(e.app_id, 'unknown')
        AND v.video_id = (e.properties->>'$.video_id')
    WHERE coalesce(e.app_id, 'unknown') = $app_id
        AND e."at" <= now()
        AND e."at" >= make_timestamptz(epoch_us(now()) - $days * 86400000000)
),
bounds AS (
    SELECT make_timestamptz(epoch_us(now()) - $days * 86400000000) AS since, now() AS until
),
buckets AS (
    SELECT
        unnest(
            CASE
                WHEN $days >= 7 THEN range(
                    date_trunc('day', since), date_trunc('day', until), INTERVAL 1 DAY
                )
                -- date_trunc would take the hour before the clocks go back for the one after.
                ELSE range(
                    make_timestamptz(
                        epoch_us(since) - microsecond(since) - 60000000 * minute(since)
                    ),
                    make_timestamptz(
                        epoch_us(until) - microsecond(until) - 60000000 * minute(until)
                    ),
                    INTERVAL 1 HOUR
                )
            END
        ) AS bucket
    FROM bounds
),
actions AS (
    SELECT
        *,
        CASE WHEN try_cast(properties->>'$.value' AS DOUBLE) < 0 THEN -1 ELSE 1 END AS change,
        CASE name
            WHEN 'comment_add' THEN 'comment'
            WHEN 'video_like' THEN 'like'
            WHEN 'video_share' THEN 'share'
            WHEN 'video_share_click' THEN 'share'
            ELSE name
        END AS act,
        name IN ('comment', 'like', 'share') AS is_service
    FROM located
    WHERE name IN (
        'comment', 'comment_add', 'chat_message', 'like', 'video_like', 'share', 'video_share',
        'video_share_click'
    )
),
reported AS (
    SELECT
        *,
        count(*) FILTER (WHERE is_service) OVER near AS by_service,
        count(*) FILTER (WHERE is_service AND user_id = 'anonymous') OVER near AS by_anonymous,
        count(*) FILTER (WHERE is_service) OVER near_of_user AS by_user
    FROM actions
    WINDOW
        near AS (
            PARTITION BY act, video_id, change
            ORDER BY epoch_us("at")
            RANGE BETWEEN 5000000 PRECEDING AND 5000000 FOLLOWING
        ),
        near_of_user AS (
            PARTITION BY act, video_id, change, user_id
            ORDER BY epoch_us("at")
            RANGE BETWEEN 5000000 PRECEDING AND 5000000 FOLLOWING
        )
),
single AS (
    SELECT
        name,
        change,
        CASE
            WHEN $days >= 7 THEN date_trunc('day', "at")
            ELSE make_timestamptz(
                epoch_us("at") - microsecond("at") - 60000000 * minute("at")
            )
        END AS bucket
    FROM reported
    WHERE channel_id = $channel_id
        AND (
            is_service
            OR coalesce(video_id, '') = ''
            OR (
                by_user + by_anonymous = 0
                AND (user_id <> 'anonymous' OR by_service = 0)
            )
        )
),
counted AS (
    SELECT
        bucket,
        count(*) FILTER (WHERE name IN ('comment', 'comment_add', 'chat_message')) AS comments,
        coalesce(sum(change) FILTER (WHERE name IN ('like', 'video_like')), 0)::BIGINT AS likes,
        count(*) FILTER (WHERE name LIKE '%share%') AS shares
    FROM single
    GROUP BY bucket
)
SELECT
    bucket,
    coalesce(comments, 0) AS comments,
    coalesce(likes, 0) AS likes,
    coalesce(shares, 0) AS shares
FROM buckets FULL JOIN counted USING (bucket)
ORDER BY bucket;
