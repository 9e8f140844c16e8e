-- What "staged_rows" (staged signatures or histograms of $name) holds that is refused, as it goes into the list.
select $name as "table", line, reason from staged_rows where bucket = -1
