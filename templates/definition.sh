# {{ description|safe }}

unit={{ unit }}
cgroup_name={{ cgroup }}
{%- if let Some(percent) = limits.cpu_percent %}
cpu_percent={{ percent }}
{%- else %}
cpu_percent=''
{%- endif %}
{%- if let Some(bytes) = limits.memory %}
memory={{ bytes }}
{%- else %}
memory=''
{%- endif %}
{%- if let Some(tasks) = limits.tasks %}
tasks={{ tasks }}
{%- else %}
tasks=''
{%- endif %}
{%- if let Some(files) = limits.nofile %}
nofile={{ files }}
{%- else %}
nofile=''
{%- endif %}
restart={{ restart }}
delay_ms={{ delay_ms }}
max_delay_ms={{ max_delay_ms }}
give_up_after={{ give_up_after }}
settled={{ settled }}
stop_timeout={{ stop_timeout }}
registry={{ runner.registry.as_str() }}
claims={{ runner.claims.as_str() }}
logs={{ logs }}
log_size={{ log_size }}
log_keep={{ log_keep }}
secrets={{ secrets }}
working_dir={{ working_dir }}
program={{ program }}
command={{ digest }}

service() {
  exec "$@"
{%- for word in words %} \
    {{ word|safe }}
{%- endfor %}
}

. {{ runner.program.as_str() }}
