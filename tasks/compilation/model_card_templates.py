"""The model card's Jinja templates, in Markdown and in HTML. They show the facts of tasks/compilation/model_card.py and decide nothing."""

MARKDOWN = """\
# {{ project }}

{{ decision }}

{% for title, values in sections.items() %}
## {{ title }}

{% for name, value in values.items() %}
- {{ name }}: {{ value }}
{% endfor %}

{% endfor %}
## Candidates

{{ choice }}

| {{ candidates[0] | join(" | ") }} |
|{{ " --- |" * (candidates[0] | length) }}
{% for row in candidates %}
| {{ row.values() | join(" | ") }} |
{% endfor %}

{% if settings %}
## Training, where it differs from the defaults

{% for name, value in settings.items() %}
- {{ name }}: {{ value }}
{% endfor %}

{% endif %}
{% if answers %}
## Answers to test rows

| {{ answers[0] | map("replace", "|", "\\|") | join(" | ") }} |
|{{ " --- |" * (answers[0] | length) }}
{% for row in answers %}
| {{ row.values() | map("replace", "|", "\\|") | join(" | ") }} |
{% endfor %}

{% endif %}
{% if classes %}
## Classes

| {{ classes[0] | join(" | ") }} |
|{{ " --- |" * (classes[0] | length) }}
{% for row in classes %}
| {{ row.values() | map("replace", "|", "\\|") | join(" | ") }} |
{% endfor %}

{% endif %}
{% if baselines %}
## Baselines, on the test rows

| {{ baselines[0] | join(" | ") }} |
|{{ " --- |" * (baselines[0] | length) }}
{% for row in baselines %}
| {{ row.values() | join(" | ") }} |
{% endfor %}

{% endif %}
## Champion

{{ comparison }}

## Slices

{{ slices_text }}

{% if slices %}
| {{ slices[0] | join(" | ") }} |
|{{ " --- |" * (slices[0] | length) }}
{% for row in slices %}
| {{ row.values() | map("replace", "|", "\\|") | join(" | ") }} |
{% endfor %}

{% endif %}
{% if findings %}
## Findings

{% for finding in findings %}
- {{ finding }}
{% endfor %}

{% endif %}
## Limits

{% for limit in limits %}
- {{ limit }}
{% endfor %}
"""

HTML = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ project }} - model card</title>
<style>
  :root { color-scheme: light dark; --ink: light-dark(#1c2730, #e4eaee); --faint: light-dark(#66757f, #94a3ad);
    --line: light-dark(#dde4e8, #35424b); --paper: light-dark(#fff, #1d262d); --good: #1f8a5b; --bad: #b3403a; }
  body { margin: 0; background: light-dark(#f3f6f7, #141b20); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
  main { max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { margin: 0 0 .6rem; font-size: 1.7rem; }
  h2 { margin: 0 0 .6rem; font-size: .8rem; color: var(--faint); text-transform: uppercase; letter-spacing: .08em; }
  section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem 1.3rem; margin: 1rem 0; }
  .decision { border-left: 5px solid var(--good); }
  .refused { border-left-color: var(--bad); }
  dl { display: grid; grid-template-columns: 9rem 1fr; gap: .25rem 1rem; margin: 0; }
  dt { color: var(--faint); }
  dd { margin: 0; overflow-wrap: anywhere; }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
  th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-top: 1px solid var(--line); }
  th { color: var(--faint); font-weight: 500; border: 0; }
  .numbers td + td, .candidates td:not(:last-child) { white-space: nowrap; }
  .candidates { font-size: .92em; }
  .wrong { color: var(--bad); }
  img { max-width: 100%; border-radius: 6px; margin-top: 1rem; background: #fff; }
  ul { margin: 0; padding-left: 1.2rem; }
</style>
<main>
  <section class="decision{{ '' if accepted else ' refused' }}"><h1>{{ project }}</h1>{{ decision }}</section>
{% for title, values in sections.items() %}
  <section><h2>{{ title }}</h2><dl>
{% for name, value in values.items() %}
    <dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
  </dl></section>
{% endfor %}
  <section><h2>Candidates</h2>{{ choice }}<div class="scroll"><table class="candidates">
    <tr>{% for head in candidates[0] %}<th>{{ head }}</th>{% endfor %}</tr>
{% for row in candidates %}
    <tr>{% for cell in row.values() %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
  </table></div><img alt="Score against latency of every candidate" src="data:image/png;base64,{{ pictures.candidates }}"></section>
{% if pictures.samples %}
  <section><h2>Answers to test rows</h2>
{% if answers %}
    <div class="scroll"><table class="numbers">
    <tr>{% for head in answers[0] %}<th>{{ head }}</th>{% endfor %}</tr>
{% for row in answers %}
    <tr{{ '' if row.truth == row.answer else ' class=wrong' }}>{% for cell in row.values() %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
    </table></div>
{% else %}
    <p>Each under its truth; where the answer is another, it follows behind &gt;.</p>
    <img alt="Test rows with truth and answer" src="data:image/png;base64,{{ pictures.samples }}">
{% endif %}
    <img alt="Where the answers are wrong" src="data:image/png;base64,{{ pictures.errors }}">
{% if classes %}
    <div class="scroll"><table class="numbers">
    <tr>{% for head in classes[0] %}<th>{{ head }}</th>{% endfor %}</tr>
{% for row in classes %}
    <tr>{% for cell in row.values() %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
    </table></div>
{% endif %}
  </section>
{% endif %}
{% if settings %}
  <section><h2>Training, where it differs from the defaults</h2><dl>
{% for name, value in settings.items() %}
    <dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
  </dl></section>
{% endif %}
{% if baselines %}
  <section><h2>Baselines, on the test rows</h2><div class="scroll"><table>
    <tr>{% for head in baselines[0] %}<th>{{ head }}</th>{% endfor %}</tr>
{% for row in baselines %}
    <tr>{% for cell in row.values() %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
  </table></div></section>
{% endif %}
  <section><h2>Champion</h2>{{ comparison }}</section>
  <section><h2>Slices</h2>{{ slices_text }}
{% if slices %}
  <div class="scroll"><table class="numbers">
    <tr>{% for head in slices[0] %}<th>{{ head }}</th>{% endfor %}</tr>
{% for row in slices %}
    <tr>{% for cell in row.values() %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
  </table></div><img alt="Score of each slice against the whole" src="data:image/png;base64,{{ pictures.slices }}">
{% endif %}
  </section>
{% if findings %}
  <section><h2>Findings</h2><ul>
{% for finding in findings %}
    <li>{{ finding }}</li>
{% endfor %}
  </ul></section>
{% endif %}
  <section><h2>Limits</h2><ul>
{% for limit in limits %}
    <li>{{ limit }}</li>
{% endfor %}
  </ul></section>
</main>
</html>
"""
