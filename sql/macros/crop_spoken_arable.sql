-- is_named_arable(name): whether a crop's name has a word for wheat, barley, maize, potatoes, rape or beet in a language in which the usual lists of crops
-- have words, too: where crops are named so, a name in which no word of a list occurs is not listed.
create macro is_named_arable(name) as coalesce(regexp_matches(
    lower(name),
    'wheat|barley|maize|potato|oilseed|sugar beet|weizen|gerste|körnermais|silomais|kartoffel|zuckerrübe|blé |orge d|maïs|pomme de terre|colza|betterave'
    || '|tarwe|zomergerst|wintergerst|aardappel|trigo|cebada|maíz|frumento|granturco|orzo|milho|cevada|pszenica|jęczmień|kukurydza|ziemniak'
    || '|pšenice|ječmen|kukuřice|brambory|hvede|vårbyg|vinterbyg|silomajs|höstvete|vårvete|vårkorn|potatis'
), false)
