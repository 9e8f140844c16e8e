-- hcat_trimmed(code): a code of HCAT, or its beginning, without the zeros and the remainders (98 unspecified, 99 other) at its end.
create macro hcat_trimmed(code) as regexp_replace(code, '(00|98|99)+$', '')
