{{- define "batchwright.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- /* 40 characters at most: suffixes follow, and a Deployment's pods have names of 63. */}}
{{- define "batchwright.fullname" -}}
{{- $name := include "batchwright.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "batchwright.selector" -}}
app.kubernetes.io/name: {{ include "batchwright.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "batchwright.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "batchwright.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: batchwright
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "batchwright.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "batchwright.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: with serviceAccount.create=false, name the ServiceAccount that is there" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "batchwright.image" -}}
{{- $repository := required "image.repository: there is no published image; build one (docs/install.md) and name it here" .Values.image.repository }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* "true" where the chart brings the admission policies, else empty. */}}
{{- define "batchwright.admissionPolicies" -}}
{{- $wanted := .Values.admissionPolicies.enabled }}
{{- if kindIs "string" $wanted }}
{{- if semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version }}true{{ end }}
{{- else if $wanted }}true
{{- end }}
{{- end }}

{{- define "batchwright.subject" -}}
- kind: ServiceAccount
  name: {{ include "batchwright.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
