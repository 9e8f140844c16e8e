"""Says that a page has lost the process behind it, in which case nothing else on it could say so."""

from __future__ import annotations

from typing import Final

from cbm_lake.cards import palette

BANNER: Final = f"""<style>
.cbm-lake-lost {{ display: none }}
.jupyter-widgets-disconnected .cbm-lake-lost {{
  display: block; position: fixed; z-index: 10000; top: 0; left: 0; right: 0; padding: 10px; text-align: center;
  background: {palette.BAD}; color: white; font-weight: bold
}}
.jupyter-widgets-disconnected button, .jupyter-widgets-disconnected a[download] {{ pointer-events: none; opacity: 0.4 }}
</style><div class="cbm-lake-lost" role="alert">The program behind this page has ended: nothing here works any more, and
nothing is saved. <a href="" style="color: white">Reload the page</a>; what was stored before is there.</div>"""
"""HTML that is seen only when the widgets' manager has marked all widgets as disconnected."""
