SELECT count(*) AS votes,
       coalesce(avg(duration), 0) AS duration,
       coalesce(sum(amount_of_estimations), 0) AS estimations,
       coalesce(avg(amount_of_estimations), 0) AS estimations_per_vote,
       coalesce(avg(min_estimation), 0) AS avg_min_estimation,
       coalesce(avg(avg_estimation), 0) AS avg_avg_estimation,
       coalesce(avg(max_estimation), 0) AS avg_max_estimation,
       coalesce(sum(amount_of_spectators), 0) AS spectators,
       coalesce(avg(amount_of_spectators), 0) AS spectators_per_vote
FROM votes
WHERE room_id = $room_id
