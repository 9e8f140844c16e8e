-- is_clouded(screened, classified, most): whether more than the share `most` (0 to 1; null: most_cloud()) of the `classified` pixels of a look
-- are among the `screened` ones, those of the scene classes that hide the ground; null where none is classified and some may be clouded.
create macro is_clouded(screened, classified, most := null) as
    -- a constant is folded: without a share to be allowed the classified pixels need not be counted
    if(coalesce(most::double, most_cloud()) = 0, screened > 0, screened / nullif(classified, 0) > coalesce(most::double, most_cloud()))
