-- same_crop(by_hcat, by_name, by_code): whether two declared crops are the same by what each comparison says, see same_hcat() and same_texts():
-- HCAT decides where it says something; of a name and a code that contradict each other neither counts.
create macro same_crop(by_hcat, by_name, by_code) as case
    when by_hcat is not null then by_hcat
    when by_name <> by_code then null
    else coalesce(by_name, by_code)
end
