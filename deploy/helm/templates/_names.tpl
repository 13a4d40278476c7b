{{/* Names, labels and addresses that several templates use. */}}

{{- define "siglip.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "siglip.fullname" -}}
{{- $name := include "siglip.name" . -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "siglip.commonLabels" -}}
app.kubernetes.io/name: {{ include "siglip.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* These never change, because a Deployment's selector cannot be changed. */}}
{{- define "siglip.selector" -}}
{{ include "siglip.commonLabels" . }}
app.kubernetes.io/component: server
{{- end }}

{{- define "siglip.redisSelector" -}}
{{ include "siglip.commonLabels" . }}
app.kubernetes.io/component: redis
{{- end }}

{{- define "siglip.labels" -}}
{{ include "siglip.commonLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "siglip.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Values.device }}
{{- end -}}
{{- end }}

{{- define "siglip.maxReplicas" -}}
{{ if eq .Values.autoscaling.kind "none" }}{{ .Values.replicas }}{{ else }}{{ .Values.autoscaling.maxReplicas }}{{ end }}
{{- end }}

{{- define "siglip.usesHub" -}}
{{ if not (or (eq .Values.weights.source "image") (and (eq .Values.weights.source "volume") .Values.weights.volume.readOnly)) }}true{{ end }}
{{- end }}

{{- define "siglip.weightsOnOneNode" -}}
{{- with .Values.weights -}}
{{ if and (eq .source "volume") (ne .volume.accessMode "ReadWriteMany") (not .volume.readOnly) }}true{{ end }}
{{- end -}}
{{- end }}

{{- define "siglip.weightsClaim" -}}
{{ .Values.weights.volume.existingClaim | default (printf "%s-weights" (include "siglip.fullname" .)) }}
{{- end }}

{{- define "siglip.dataClaim" -}}
{{ .Values.data.volume.existingClaim | default (printf "%s-data" (include "siglip.fullname" .)) }}
{{- end }}

{{- define "siglip.labelSetsConfigMap" -}}
{{- if .Values.labelSets.existingConfigMap -}}
{{ .Values.labelSets.existingConfigMap }}
{{- else if .Values.labelSets.files -}}
{{ include "siglip.fullname" . }}-label-sets
{{- end -}}
{{- end }}

{{/* A spec of the autoscaler, which KEDA's ScaledObject takes too. */}}
{{- define "siglip.scalingBehavior" -}}
# Up at once, because a queue already exists; down slowly, because a start takes long.
scaleUp: {stabilizationWindowSeconds: 0}
scaleDown:
  stabilizationWindowSeconds: 600
  policies:
    - {type: Pods, value: 1, periodSeconds: 120}
{{- end }}
