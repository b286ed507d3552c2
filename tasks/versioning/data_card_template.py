"""The data card's Jinja template. It shows the facts of tasks/versioning/data_card.py and decides nothing."""

HTML = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ version.tag }} - data card</title>
<style>
  :root { color-scheme: light dark; --ink: light-dark(#1c2730, #e4eaee); --faint: light-dark(#66757f, #94a3ad);
    --line: light-dark(#dde4e8, #35424b); --paper: light-dark(#fff, #1d262d); --bar: light-dark(#1f6f8b, #58a9c4); --bad: #b3403a;
    --validation: #c98a2b; --test: #7a5aa6; }
  body { margin: 0; background: light-dark(#f3f6f7, #141b20); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
  main { max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { margin: 0 0 .6rem; font-size: 1.7rem; }
  h2 { margin: 0 0 .6rem; font-size: .8rem; color: var(--faint); text-transform: uppercase; letter-spacing: .08em; }
  section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem 1.3rem; margin: 1rem 0; }
  .head { border-left: 5px solid var(--bar); }
  dl { display: grid; grid-template-columns: 9rem 1fr; gap: .25rem 1rem; margin: 0; }
  dt, .faint { color: var(--faint); }
  dd { margin: 0; overflow-wrap: anywhere; }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92em; }
  th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-top: 1px solid var(--line); vertical-align: middle; }
  th { color: var(--faint); font-weight: 500; border: 0; }
  .bad { color: var(--bad); }
  img { max-width: 100%; border-radius: 6px; background: #fff; margin-bottom: 1rem; }
  .top { display: grid; grid-template-columns: 9rem 4rem; gap: 0 .5rem; font-size: .85em; line-height: 1.3; }
  .top span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  .bar { display: block; height: .6em; align-self: center; background: var(--bar); border-radius: 2px; min-width: 1px; }
  .validation { background: var(--validation); } .test { background: var(--test); }
  .share { display: grid; grid-template-columns: 9rem 1fr; gap: .5rem; align-items: center; }
</style>
<main>
  <section class="head"><h1>{{ version.tag }}</h1>{{ summary }}</section>
{% if picture or rows %}
  <section><h2>Samples</h2>
{% if picture %}
    <img alt="Some of the rows" src="data:image/png;base64,{{ picture }}">
{% endif %}
{% if rows %}
    <div class="scroll"><table><tr>{% for name in rows[0] %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}
      <tr>{% for cell in row.values() %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
    </table></div>
{% endif %}
  </section>
{% endif %}
{% if balance %}
  <section><h2>Labels</h2><table><tr><th>class</th>{% for each in balance[0].splits %}<th>{{ each[0] }}</th>{% endfor %}</tr>
{% for each in balance %}
    <tr><td>{{ each.name }}</td>
{% for split, count, share, length in each.splits %}
      <td><div class="share"><span>{{ "{:,}".format(count) }} <span class="faint">{{ "%.1f"|format(100 * share) }} %</span></span>
        <span class="bar {{ split }}" style="width: {{ "%.1f"|format(100 * length) }}%"></span></div></td>
{% endfor %}
    </tr>
{% endfor %}
  </table></section>
{% endif %}
  <section><h2>Columns</h2><div class="scroll"><table>
    <tr><th>column</th><th>type</th><th>missing</th><th>distinct</th><th>range</th><th>mean</th><th>median</th><th></th></tr>
{% for each in columns %}
    <tr><td>{{ each.name }}</td><td class="faint">{{ each.type }}</td><td>{{ each.missing }}</td><td>{{ each.distinct }}</td>
      <td>{{ each.range }}</td><td>{{ each.mean }}</td><td>{{ each.median }}</td><td>
{% if each.bars %}
      <svg width="140" height="32" role="img" aria-label="Histogram of {{ each.name }}">
{% for height in each.bars %}
        <rect x="{{ loop.index0 * 7 }}" y="{{ 31 - height }}" width="6" height="{{ height }}" fill="var(--bar)"/>
{% endfor %}
      </svg>
{% elif each.top %}
      <div class="top">
{% for value, share in each.top %}
        <span>{{ value }}</span><span class="bar" style="width: {{ "%.0f"|format(100 * share) }}%"></span>
{% endfor %}
      </div>
{% endif %}
    </td></tr>
{% endfor %}
  </table></div>
{% if nested %}<p class="faint">Without statistics: {{ nested | join(", ") }}.</p>{% endif %}
{% if hidden %}<p class="faint">{{ hidden }} more columns.</p>{% endif %}
{% if sampled < 1 %}
  <p class="faint">Histograms, medians and frequent values are those of {{ "%.2g"|format(100 * sampled) }} % of the rows.</p>
{% endif %}
  </section>
{% for title, values in sections.items() %}
  <section><h2>{{ title }}</h2><dl>
{% for name, value in values.items() %}
    <dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
  </dl></section>
{% endfor %}
{% if findings %}
  <section><h2>Findings</h2><ul>
{% for each in findings %}
    <li>{{ each.stage }}, <code>{{ each.check }}</code>: {{ each.text }}</li>
{% endfor %}
  </ul></section>
{% endif %}
{% if rules %}
  <section><h2>Validation</h2><div class="scroll"><table><tr><th>rule</th><th>severity</th><th>holds</th><th>found</th></tr>
{% for rule in rules %}
    <tr><td>{{ rule.rule }}</td><td>{{ rule.severity }}</td>
      <td{{ '' if rule.success else ' class="bad"' }}>{{ "yes" if rule.success else "no" }}</td><td>{{ rule.observed }}</td></tr>
{% endfor %}
  </table></div></section>
{% endif %}
  <section><h2>Versions</h2><div class="scroll"><table><tr>{% for name in history[0] %}<th>{{ name }}</th>{% endfor %}</tr>
{% for line in history | reverse %}
    <tr>{% for cell in line.values() %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
  </table></div></section>
</main>
</html>
"""
