-- @name fpp_event_log
-- @type materialized_view
-- @object fpp_event_log
-- @description Free Planning Poker's events, shaped like the table `events`.
-- | One row per row of fpp_events, so that questions about events work for both tables.
-- @order at, event_id
-- @filter name [=, in]
-- @filter user_id [=, in]
-- @filter at [>=, <=]
-- @limit 1000 100000
-- @column event_id Identifier of the event, "fpp-" and its id
-- @column app_id The product that sent it, always "free-planning-poker"
-- @column name Name of the event
-- @column user_id The user, as in fpp_users
-- @column at When it happened
-- @column source Where the event came from; always NULL
-- @column properties Further properties, a JSON object; always empty
-- @column received_at When it was stored; as `at`
-- @column sender Who sent it; always NULL
-- @column sent_at When it was sent; always NULL
-- @test unique(event_id)
-- @test not_null(event_id, app_id, properties)
SELECT
    'fpp-' || id AS event_id,
    'free-planning-poker' AS app_id,
    event AS name,
    user_id,
    event_at AS at,
    NULL::VARCHAR AS source,
    '{}' AS properties,
    event_at AS received_at,
    NULL::VARCHAR AS sender,
    NULL::TIMESTAMPTZ AS sent_at
FROM fpp_events
WHERE id IS NOT NULL;
