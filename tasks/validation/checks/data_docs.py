"""Great Expectations' Data Docs page as one file.

Nothing of it is fetched from elsewhere, so it looks the same without a network.

As it comes the page runs scripts of six other sites, with the rights of a page of ours; without them its
marks, columns and colours are missing.
"""

import re
from typing import Any

STYLE = """
<style>
  :root { color-scheme: light dark; --ink: light-dark(#1c2730, #e4eaee); --faint: light-dark(#66757f, #94a3ad);
    --line: light-dark(#dde4e8, #35424b); --paper: light-dark(#fff, #1d262d); --good: #1f8a5b; --bad: #b3403a; }
  body { margin: 0 auto; max-width: 68rem; padding: 1rem; background: light-dark(#f3f6f7, #141b20); color: var(--ink);
    font: 15px/1.5 system-ui, sans-serif; }
  .ge-section, .card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: .8rem 1.2rem;
    margin: 1rem 0; }
  h4, h5, h6 { margin: .6rem 0 .3rem; } h6, .lead { color: var(--faint); font-weight: 500; }
  a { color: inherit; } ul { list-style: none; padding: 0; } .nav li { display: inline-block; margin-right: 1rem; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-top: 1px solid var(--line); }
  th { color: var(--faint); font-weight: 500; } .badge { font-weight: 600; } .text-center { text-align: left; }
  .fa-check-circle::before { content: "\\2714"; color: var(--good); }
  .fa-times::before { content: "\\2718"; color: var(--bad); }
  .fa-exclamation-triangle::before { content: "\\25B2"; color: #c98a2b; }
  .sticky-top, footer, .card:has(.btn-group) { display: none; }
  i { font-style: normal; } svg { max-width: 100%; }
</style>
"""
OUTSIDE = (
    re.compile(r"<script\b.*?</script>", re.DOTALL | re.IGNORECASE),
    re.compile(r"<style\b.*?</style>", re.DOTALL | re.IGNORECASE),
    re.compile(r"<(link|img)\b[^>]*>", re.IGNORECASE),
)
PAGES_ELSEWHERE = re.compile(r"<a href=\"(?!#)[^\"]*\"[^>]*>(.*?)</a>", re.DOTALL)
"""Links to the other pages of a site of Great Expectations' own, which is not made, and to its newsletter."""


def page(result: dict[str, Any]) -> str:
    """Data Docs' page of a plain validation result, HTML."""
    from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaPageView

    renderer: Any = ValidationResultsPageRenderer()
    view: Any = DefaultJinjaPageView()
    html: str = view.render(renderer.render(expectationSuiteValidationResultSchema.load(result)))
    return self_contained(html)


def self_contained(html: str) -> str:
    """A page without what it would fetch, with a style of its own."""
    for outside in OUTSIDE:
        html = outside.sub("", html)
    html = PAGES_ELSEWHERE.sub(r"\1", html)
    return html.replace("</head>", f"{STYLE}</head>", 1)
