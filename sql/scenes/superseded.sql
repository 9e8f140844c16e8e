-- Scenes of $card that are not to be looked at: of their acquisition a better processing is catalogued, or somebody left them out.
select id from scenes where card = $card and (superseded or left_out is not null) order by id
