-- @name overview_stats
-- @type report
-- @description Views, watch time and subscribers of a channel.
-- @param app_id text
-- | The application, such as openstream
-- @param channel_id text
-- | The channel
-- @param days integer 28 1..3650
-- | How many times 24 hours before now
-- @column views Events view and video_view
-- @column watch_time_hours Sum of watch_time of the heartbeats
-- @unit watch_time_hours hours
-- @column subscriber_change New subscribers less those who left
-- | A subscription that the browser reports as well, without the channel, within five seconds
-- | counts once.
-- @column avg_view_duration Watch time per view; 0 without views
-- @unit avg_view_duration seconds
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
subscriptions AS (
    SELECT *, CASE WHEN name IN ('subscribe', 'channel_subscribe') THEN 1 ELSE -1 END AS change
    FROM located
    WHERE channel_id = $channel_id
        AND name IN ('subscribe', 'channel_subscribe', 'unsubscribe', 'channel_unsubscribe')
),
reported AS (
    SELECT
        *,
        count(*) FILTER (WHERE own_channel_id IS NOT NULL) OVER near AS by_service,
        count(*) FILTER (WHERE own_channel_id IS NOT NULL AND user_id = 'anonymous')
            OVER near AS by_anonymous,
        count(*) FILTER (WHERE own_channel_id IS NOT NULL) OVER near_of_user AS by_user
    FROM subscriptions
    WINDOW
        near AS (
            PARTITION BY change
            ORDER BY epoch_us("at")
            RANGE BETWEEN 5000000 PRECEDING AND 5000000 FOLLOWING
        ),
        near_of_user AS (
            PARTITION BY change, user_id
            ORDER BY epoch_us("at")
            RANGE BETWEEN 5000000 PRECEDING AND 5000000 FOLLOWING
        )
),
changes AS (
    SELECT coalesce(sum(change), 0)::BIGINT AS subscriber_change
    FROM reported
    WHERE own_channel_id IS NOT NULL
        OR (by_user + by_anonymous = 0 AND (user_id <> 'anonymous' OR by_service = 0))
),
watched AS (
    SELECT
        count(*) FILTER (WHERE name IN ('view', 'video_view')) AS views,
        coalesce(
            sum(
                CASE WHEN isfinite(try_cast(properties->>'$.watch_time' AS DOUBLE))
            THEN try_cast(properties->>'$.watch_time' AS DOUBLE) ELSE 0 END
            ) FILTER (WHERE name = 'video_heartbeat'),
            0
        ) AS seconds
    FROM located
    WHERE channel_id = $channel_id
)
SELECT
    views,
    seconds / 3600 AS watch_time_hours,
    subscriber_change,
    CASE WHEN views > 0 THEN seconds / views ELSE 0 END AS avg_view_duration
FROM watched CROSS JOIN changes;

-- @name chronological_trend
-- @type report
-- @description Views of a channel over time.
-- | By day from seven days on, else by hour. Days and hours without views have 0; the one that
-- | has begun is there if it has views.
-- @param app_id text
-- | The application, such as openstream
-- @param channel_id text
-- | The channel
-- @param days integer 28 1..3650
-- | How many times 24 hours before now
-- @order bucket
-- @column bucket Beginning of the day or hour
-- @column views Events view and video_view
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
viewed AS (
    SELECT
        CASE
            WHEN $days >= 7 THEN date_trunc('day', "at")
            ELSE make_timestamptz(
                epoch_us("at") - microsecond("at") - 60000000 * minute("at")
            )
        END AS bucket,
        count(*) AS views
    FROM located
    WHERE channel_id = $channel_id AND name IN ('view', 'video_view')
    GROUP BY ALL
)
SELECT bucket, coalesce(views, 0) AS views
FROM buckets FULL JOIN viewed USING (bucket)
ORDER BY bucket;

-- @name top_content
-- @type report
-- @description The most viewed videos of a channel.
-- @param app_id text
-- | The application, such as openstream
-- @param channel_id text
-- | The channel
-- @param days integer 28 1..3650
-- | How many times 24 hours before now
-- @param limit integer 10 1..1000
-- | Number of videos
-- @order views desc, video_id
-- @column video_id The video
-- @column title The title that was sent last; empty if none was
-- @column thumbnail_url The picture that was sent last; empty if none was
-- @column views Events view and video_view
-- @column avg_view_duration Watch time per view; 0 without views
-- @unit avg_view_duration seconds
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
watched AS (
    SELECT
        video_id,
        count(*) FILTER (WHERE name <> 'video_heartbeat') AS views,
        coalesce(
            sum(
                CASE WHEN isfinite(try_cast(properties->>'$.watch_time' AS DOUBLE))
            THEN try_cast(properties->>'$.watch_time' AS DOUBLE) ELSE 0 END
            ) FILTER (WHERE name = 'video_heartbeat'),
            0
        ) AS seconds
    FROM located
    WHERE channel_id = $channel_id
        AND video_id <> ''
        AND name IN ('view', 'video_view', 'video_heartbeat')
    GROUP BY video_id
)
SELECT
    w.video_id,
    coalesce(v.title, '') AS title,
    coalesce(v.thumbnail_url, '') AS thumbnail_url,
    w.views,
    CASE WHEN w.views > 0 THEN w.seconds / w.views ELSE 0 END AS avg_view_duration
FROM watched AS w
LEFT JOIN video_channels AS v ON v.app_id = $app_id AND v.video_id = w.video_id
ORDER BY w.views DESC, w.video_id
LIMIT $limit;
