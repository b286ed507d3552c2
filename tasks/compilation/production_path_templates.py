"""The Jinja templates of the path to production, in Markdown and in HTML."""

MARKDOWN = """\
# {{ project }}: the path to production

Measured on {{ machine }}; candidates were chosen on {{ rows }}.

{% for each in answers %}
**{{ each.question }}** {{ each.answer }}

{% endfor %}
"""

HTML = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ project }}: the path to production</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1c2730; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; }
p.where { color: #5b6770; margin-top: 0; }
dt { font-weight: 600; margin-top: 1rem; }
dd { margin: .2rem 0 0; }
img { max-width: 100%; margin-top: 1.5rem; }
</style>
</head>
<body>
<h1>{{ project }}: the path to production</h1>
<p class="where">Measured on {{ machine }}; candidates were chosen on {{ rows }}.</p>
<dl>
{% for each in answers %}
<dt>{{ each.question }}</dt>
<dd>{{ each.answer }}</dd>
{% endfor %}
</dl>
{% for name, image in pictures.items() %}
<img src="data:image/png;base64,{{ image }}" alt="{{ name }}">
{% endfor %}
</body>
</html>
"""
