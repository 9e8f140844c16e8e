-- The verdicts of the check $run that are in force, by pid.
select * from crop_checks where run = $run order by pid
