{{/* Combinations of values that would lose data, or that cannot run, are refused here with what to do instead. */}}

{{- define "siglip.check" -}}
{{- $several := gt (int (include "siglip.maxReplicas" .)) 1 -}}
{{- $scaling := .Values.autoscaling -}}
{{- $redis := .Values.redis -}}
{{- $weights := .Values.weights -}}
{{- if and .Values.data.volume.enabled (ne $redis.mode "none") -}}
  {{- fail "data.volume.enabled and redis.mode: label sets are in Redis, so the data volume would have no use. Set data.volume.enabled=false, or redis.mode=none." -}}
{{- end -}}
{{- if and .Values.data.volume.enabled $several -}}
  {{- fail (printf "data.volume.enabled with %s replicas: several pods must not share SQLite on one volume. Set redis.mode=existing or deploy, so that all replicas share their label sets in Redis, or set replicas=1 and autoscaling.kind=none. For label sets that never change at run time, set data.volume.enabled=false and use labelSets.files." (include "siglip.maxReplicas" .)) -}}
{{- end -}}
{{- if and (eq $redis.mode "existing") (not (or $redis.url $redis.urlSecret.name)) -}}
  {{- fail "redis.mode=existing has no address. Set redis.urlSecret.name to a Secret with it, or redis.url if it has no password." -}}
{{- end -}}
{{- if and $redis.url $redis.urlSecret.name -}}
  {{- fail "redis.url and redis.urlSecret.name are both set. Set one of them." -}}
{{- end -}}
{{- if and (or $redis.url $redis.urlSecret.name) (ne $redis.mode "existing") -}}
  {{- fail "redis.url or redis.urlSecret.name is set, but would not be used. Set redis.mode=existing." -}}
{{- end -}}
{{- if and (eq $redis.mode "deploy") (not $redis.passwordSecret.name) -}}
  {{- fail "redis.mode=deploy needs a password. Set redis.passwordSecret.name to a Secret with it." -}}
{{- end -}}
{{- if eq $weights.source "volume" -}}
  {{- if and $several (include "siglip.weightsOnOneNode" .) -}}
    {{- fail (printf "weights.volume.accessMode=%s with %s replicas: only pods on one node can mount it. Set it to ReadWriteMany, or use weights.source=image." $weights.volume.accessMode (include "siglip.maxReplicas" .)) -}}
  {{- end -}}
  {{- if and $weights.volume.readOnly (not $weights.volume.existingClaim) -}}
    {{- fail "weights.volume.readOnly needs a claim that has the weights. Set weights.volume.existingClaim." -}}
  {{- end -}}
{{- end -}}
{{- if and (eq .Values.device "gpu") (not (regexMatch "nvidia.com/" (.Values.resources.limits | default dict | toJson))) -}}
  {{- fail "device=gpu, but resources.limits has no GPU. Add -f values-gpu.yaml, or set a resource such as nvidia.com/gpu." -}}
{{- end -}}
{{- if and .Values.labelSets.files .Values.labelSets.existingConfigMap -}}
  {{- fail "labelSets.files and labelSets.existingConfigMap are both set. Set one of them." -}}
{{- end -}}
{{- if ne $scaling.kind "none" -}}
  {{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
    {{- fail "autoscaling.minReplicas is larger than autoscaling.maxReplicas." -}}
  {{- end -}}
{{- end -}}
{{- if and (eq $scaling.kind "keda") (not $scaling.keda.serverAddress) -}}
  {{- fail "autoscaling.kind=keda needs the address of Prometheus. Set autoscaling.keda.serverAddress." -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
  {{- fail "ingress.enabled needs a name. Set ingress.hosts." -}}
{{- end -}}
{{- end }}
