-- All decisions on the case $case_id, the first one first.
select * from decisions where case_id = $case_id order by number, sequence
