-- Scenes whose signatures are left out of s2, bs and c6: a newer processing of the same acquisition was extracted.
-- A table, worked out once per snapshot: every look-up asks it.
create table superseded as
select older.card, older.id
from scenes as older
where older.superseded
    and exists (
        from scenes as newer
        where newer.card = older.card and newer.acquisition = older.acquisition
            and not newer.superseded and newer.status = 'extracted'
    )
