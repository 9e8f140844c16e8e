"""openEO (https://openeo.org, API 1.2): process graphs over the lake's cards, answered from signatures or pixels."""
