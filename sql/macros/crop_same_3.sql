-- same_crop(by_name, by_code): whether two declared crops are the same by what each comparison of texts says, see same_texts(); of a name and a
-- code that contradict each other neither counts.
create macro same_crop(by_name, by_code) as if(by_name <> by_code, null, coalesce(by_name, by_code))
