{{/* Labels of a role: (dict "root" $ "role" "sender") */}}
{{- define "skein.selector" -}}
app.kubernetes.io/name: skein
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}
{{- define "skein.labels" -}}
{{ include "skein.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{/* What the pods of every role have in common. A change of the settings is a new pod: all roles read them at their start. */}}
{{- define "skein.pod" -}}
metadata:
  labels:
    {{- include "skein.labels" . | nindent 4 }}
    {{- with .track }}
    skein/track: {{ . }}
    {{- end }}
  annotations:
    checksum/config: {{ .root.Values.config | sha256sum }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: { type: RuntimeDefault }
  # Never two of a role on one node, and as even over the zones as there are nodes for it.
  affinity:
    podAntiAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        - topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "skein.selector" . | nindent 14 }}
              {{- with .track }}
              skein/track: {{ . }}
              {{- end }}
  topologySpreadConstraints:
    - topologyKey: topology.kubernetes.io/zone
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "skein.selector" . | nindent 10 }}
{{- end }}

{{/* Its container's guard: no root, nothing written but what is mounted. */}}
{{- define "skein.guard" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* /readyz names what is wrong; /livez answers as long as the process turns, so that a service that is away restarts nobody. */}}
{{- define "skein.probes" -}}
startupProbe: { httpGet: { path: /livez, port: pages }, periodSeconds: 1, failureThreshold: 60 }
livenessProbe: { httpGet: { path: /livez, port: pages }, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }
readinessProbe: { httpGet: { path: /readyz, port: pages }, periodSeconds: 5, timeoutSeconds: 3 }
{{- end }}

{{- define "skein.mounts" -}}
- { name: config, mountPath: /etc/skein/skein.toml, subPath: skein.toml, readOnly: true }
- { name: secrets, mountPath: /etc/skein/secrets, readOnly: true }
{{- end }}

{{/* What this release's figures are told apart by in a Prometheus with several fleets. */}}
{{- define "skein.fleet" -}}
{{ .Release.Namespace }}/{{ .Release.Name }}
{{- end }}

{{/* The same as a selector; who reads them without our PodMonitors has Kubernetes' namespace. */}}
{{- define "skein.selected" -}}
{{- if .Values.prometheusOperator.enabled -}}
fleet="{{ include "skein.fleet" . }}"
{{- else -}}
namespace="{{ .Release.Namespace }}"
{{- end -}}
{{- end }}

{{/* What a role sees in /etc/skein/secrets, and nothing else: (dict "root" $ "users" (dict "broker-password" "rabbitmq-skein-gateway")
"own" (list (dict "name" .Values.secrets.gateway "keys" (list "gateway-keys")))), by the files' names. 0400: Skein takes no secret that others may read; fsGroup makes it 0440. */}}
{{- define "skein.volumes" -}}
{{- $secrets := .root.Values.secrets -}}
- { name: config, configMap: { name: {{ .config | default (printf "%s-skein" .root.Release.Name) }} } }
- name: secrets
  projected:
    defaultMode: 0400
    sources:
      {{- with .users }}
      - secret:
          name: {{ $secrets.users }}
          items:
            {{- range $file, $user := . }}
            - { key: {{ $user }}.password, path: {{ $file }} }
            {{- end }}
      {{- end }}
      {{- range .own }}
      - secret: { name: {{ .name }}, items: [{{ range $n, $key := .keys }}{{ if $n }}, {{ end }}{ key: {{ $key }}, path: {{ $key }} }{{ end }}] }
      {{- end }}
      # Without TLS there is none.
      - secret: { name: {{ $secrets.authority }}, items: [{ key: ca.pem, path: ca.pem }], optional: true }
{{- end }}

{{/* A role's logins: the names of its users, and where their passwords are. (dict "BROKER" (list "skein-gateway" "/etc/skein/secrets/broker-password")) */}}
{{- define "skein.logins" -}}
{{- range $section, $login := . }}
- { name: SKEIN_{{ $section }}__USERNAME, value: {{ index $login 0 }} }
- { name: SKEIN_{{ $section }}__PASSWORD_FILE, value: {{ index $login 1 }} }
{{- end }}
{{- end }}

{{/* The members of a track: sender-a-0, sender-a-1, … as many as there will ever be. */}}
{{- define "skein.members" -}}
{{- $sender := .Values.sender -}}
{{- $count := ternary $sender.autoscaling.maxReplicas $sender.replicas $sender.autoscaling.enabled | int -}}
{{- range $track := compact (list $sender.succeeds $sender.track) }}
{{- range $number := until $count }}
- --sender=sender-{{ $track }}-{{ $number }}
{{- end }}
{{- end }}
{{- end }}
