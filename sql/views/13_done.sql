-- Of "written" what was made of the scene as it is catalogued now. What was made of another revision (reprocessed in place, other
-- addresses) no longer counts, and the next extraction does it again. What version 0.1 wrote is of the first revision.
-- A table, worked out once per snapshot.
create table done as
select written.*
from written
left join identities on identities.card = written.card and identities.id = written.scene
where identities.id is null or coalesce(written.revision, first_revision) = known_revision
