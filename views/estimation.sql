-- @name estimation_by_month
-- @type materialized_view
-- @object estimation_by_month
-- @description How well rooms agree, and how fast they vote, by month.
-- | One row per room and month with a vote. The spread of a vote is the largest minus
-- | the smallest estimation; a vote is unanimous if at least two people estimated and
-- | all agreed. Months are those of the time zone.
-- @order month, room_id
-- @filter month [=, >=, <=]
-- @filter room_id [=, in]
-- @limit 1000 100000
-- @column month First day of the month
-- @column room_id The room, see fpp_rooms
-- @column votes Votes with a result
-- @column estimations Estimations in these votes
-- @column average_spread Mean of largest minus smallest estimation
-- @column widest_spread The largest spread of a vote
-- @column unanimous_votes Votes of at least two estimations without spread
-- @column average_seconds Mean time from the start of a vote to its result
-- @column median_seconds Median time from the start of a vote to its result
-- @unit average_spread story points
-- @unit widest_spread story points
-- @unit average_seconds seconds
-- @unit median_seconds seconds
-- @test unique(month, room_id)
-- @test not_null(month, room_id, votes)
-- @test SELECT * FROM estimation_by_month
-- | WHERE widest_spread < average_spread OR unanimous_votes > votes
SELECT
    date_trunc('month', voted_at::DATE)::DATE AS month,
    room_id,
    count(*) AS votes,
    sum(amount_of_estimations) AS estimations,
    avg(max_estimation::INTEGER - min_estimation::INTEGER) AS average_spread,
    max(max_estimation::INTEGER - min_estimation::INTEGER) AS widest_spread,
    count(*) FILTER (
        max_estimation = min_estimation AND amount_of_estimations >= 2
    ) AS unanimous_votes,
    avg(duration) AS average_seconds,
    median(duration) AS median_seconds
FROM fpp_votes
WHERE voted_at IS NOT NULL AND room_id IS NOT NULL
GROUP BY ALL;

-- @name room_pace
-- @type report
-- @description Agreement and pace of one room, by month, newest month first.
-- @param room_id integer 1..
-- | The room, see fpp_rooms.
-- @param since date null
-- | First day; without it all months.
-- @limit 120 1200
-- @route /rooms/{room_id}/pace
-- @missing This room has no votes
-- @column month First day of the month
-- @column votes Votes with a result
-- @column average_spread Mean of largest minus smallest estimation
-- @column unanimous_share Unanimous votes of all votes
-- @column average_seconds Mean time from the start of a vote to its result
-- @unit average_spread story points
-- @unit unanimous_share share from 0 to 1
-- @unit average_seconds seconds
SELECT
    month,
    votes,
    average_spread,
    unanimous_votes / votes AS unanimous_share,
    average_seconds
FROM estimation_by_month
WHERE room_id = $room_id AND ($since::DATE IS NULL OR month >= $since::DATE)
ORDER BY month DESC;
