-- is_spoken_crop(listed, hcat, name, code, spoken): is_listed_crop(), but null instead of false where only words of the list could name the crop and,
-- as `spoken` says, no crop of the year is named by any of them: its names are of another language, or are codes.
create macro is_spoken_crop(listed, hcat, name, code, spoken) as if(
    not is_listed_crop(listed, hcat, name, code) and not coalesce(spoken, false) and is_judged_by_words(listed, hcat), null,
    is_listed_crop(listed, hcat, name, code)
)
