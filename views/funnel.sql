-- @name funnel_by_source
-- @type materialized_view
-- @object funnel_by_source
-- @description From page view to vote, by the source that brought the user.
-- | A user belongs to the source of their first page view. Each step counts the users
-- | who also took all steps before it, at any time: they viewed a page, they opened a
-- | room, they estimated, and a vote of a room they estimated in followed.
-- | Sources are grouped as in `GET /`; a user whose first view names none is "Unknown".
-- @order users desc, source
-- @filter source [=, in]
-- @limit 100 1000
-- @column source Category of the source of the first page view
-- @column users Users with a page view
-- @column room_users Users who opened a room
-- @column estimating_users Users who opened a room and estimated
-- @column voting_users Users who opened a room, estimated, and saw a vote follow
-- @column room_share room_users of users
-- @column estimating_share estimating_users of users
-- @column voting_share voting_users of users
-- @unit room_share share from 0 to 1
-- @unit estimating_share share from 0 to 1
-- @unit voting_share share from 0 to 1
-- @test unique(source)
-- @test not_null(source, users, room_users, estimating_users, voting_users)
-- @test SELECT * FROM funnel_by_source
-- | WHERE users < room_users OR room_users < estimating_users
-- | OR estimating_users < voting_users
WITH visitors AS (
    SELECT
        user_id,
        arg_min_null(source, (viewed_at, id)) AS source,
        bool_or(coalesce(route = 'ROOM', false)) AS opened_room
    FROM fpp_page_views
    WHERE user_id IS NOT NULL AND viewed_at IS NOT NULL AND id IS NOT NULL
    GROUP BY user_id
),
last_votes AS (
    SELECT room_id, max(voted_at) AS last_vote FROM fpp_votes GROUP BY room_id
),
estimators AS (
    SELECT user_id, bool_or(coalesce(last_vote >= estimated_at, false)) AS voted
    FROM fpp_estimations LEFT JOIN last_votes USING (room_id)
    WHERE user_id IS NOT NULL
    GROUP BY user_id
),
steps AS (
    SELECT
        CASE
            WHEN source IS NULL THEN 'Unknown'
            WHEN regexp_matches(source, 'teams\.') THEN 'Teams'
            WHEN regexp_matches(source, 'ads\.|google_ads') THEN 'Google Ads'
            WHEN regexp_matches(source, 'www\.google\.com') THEN 'Google Search'
            WHEN regexp_matches(source, 'free-planning-poker\.com')
                THEN 'Free Planning Poker'
            WHEN regexp_matches(source, 'cv') THEN 'CV'
            WHEN regexp_matches(source, 'email') THEN 'Email'
            WHEN regexp_matches(source, 'github\.com') THEN 'GitHub'
            WHEN regexp_matches(source, 'bing\.com') THEN 'Bing'
            ELSE 'Other'
        END AS source,
        opened_room,
        opened_room AND voted IS NOT NULL AS estimated,
        opened_room AND coalesce(voted, false) AS voted
    FROM visitors LEFT JOIN estimators USING (user_id)
)
SELECT
    source,
    count(*) AS users,
    count(*) FILTER (opened_room) AS room_users,
    count(*) FILTER (estimated) AS estimating_users,
    count(*) FILTER (voted) AS voting_users,
    room_users / users AS room_share,
    estimating_users / users AS estimating_share,
    voting_users / users AS voting_share
FROM steps
GROUP BY source;
