-- Scenes of $card of whose acquisition a better processing is catalogued.
select id from scenes where card = $card and superseded order by id
