"""Protobuf field numbers of the structures that kubectl's own commands send. Facts of the public .proto files.

kubectl create, drain, auth and the like send protobuf; apply, edit, patch and everything from files send JSON. A
structure that is missing here is refused with 415, which names the way out.
"""

_FIELDS = {
    "V1ObjectMeta": "1 name 2 generateName 3 namespace 4 selfLink 5 uid 6 resourceVersion 7 generation "
    "8 creationTimestamp 9 deletionTimestamp 10 deletionGracePeriodSeconds 11 labels 12 annotations "
    "13 ownerReferences 14 finalizers 17 managedFields",
    "V1OwnerReference": "1 kind 3 name 4 uid 5 apiVersion 6 controller 7 blockOwnerDeletion",
    "V1LabelSelector": "1 matchLabels 2 matchExpressions",
    "V1LabelSelectorRequirement": "1 key 2 operator 3 values",
    "V1DeleteOptions": "1 gracePeriodSeconds 2 preconditions 3 orphanDependents 4 propagationPolicy 5 dryRun",
    "V1Preconditions": "1 uid 2 resourceVersion",
    "V1Eviction": "1 metadata 2 deleteOptions",
    "V1ConfigMap": "1 metadata 2 data 3 binaryData 4 immutable",
    "V1Secret": "1 metadata 2 data 3 type 4 stringData 5 immutable",
    "V1Namespace": "1 metadata 2 spec 3 status",
    "V1NamespaceSpec": "1 finalizers",
    "V1NamespaceStatus": "1 phase",
    "V1ServiceAccount": "1 metadata 2 secrets 3 imagePullSecrets 4 automountServiceAccountToken",
    "V1ObjectReference": "1 kind 2 namespace 3 name 4 uid 5 apiVersion 6 resourceVersion 7 fieldPath",
    "V1LocalObjectReference": "1 name",
    "AuthenticationV1TokenRequest": "1 metadata 2 spec 3 status",
    "V1TokenRequestSpec": "1 audiences 3 boundObjectRef 4 expirationSeconds",
    "V1TokenRequestStatus": "1 token 2 expirationTimestamp",
    "V1BoundObjectReference": "1 kind 2 apiVersion 3 name 4 uid",
    "V1SelfSubjectReview": "1 metadata 2 status",
    "V1SelfSubjectReviewStatus": "1 userInfo",
    "V1UserInfo": "1 username 2 uid 3 groups",
    "V1TokenReview": "1 metadata 2 spec 3 status",
    "V1TokenReviewSpec": "1 token 2 audiences",
    "V1TokenReviewStatus": "1 authenticated 2 user 3 error 4 audiences",
    "V1SelfSubjectAccessReview": "1 metadata 2 spec 3 status",
    "V1SelfSubjectAccessReviewSpec": "1 resourceAttributes 2 nonResourceAttributes",
    "V1SubjectAccessReview": "1 metadata 2 spec 3 status",
    "V1SubjectAccessReviewSpec": "1 resourceAttributes 2 nonResourceAttributes 3 user 4 groups 6 uid",
    "V1LocalSubjectAccessReview": "1 metadata 2 spec 3 status",
    "V1SubjectAccessReviewStatus": "1 allowed 2 reason 3 evaluationError 4 denied",
    "V1ResourceAttributes": "1 namespace 2 verb 3 group 4 version 5 resource 6 subresource 7 name",
    "V1NonResourceAttributes": "1 path 2 verb",
    "V1SelfSubjectRulesReview": "1 metadata 2 spec 3 status",
    "V1SelfSubjectRulesReviewSpec": "1 namespace",
    "V1SubjectRulesReviewStatus": "3 incomplete 4 evaluationError",
    "V1Role": "1 metadata 2 rules",
    "V1ClusterRole": "1 metadata 2 rules 3 aggregationRule",
    "V1AggregationRule": "1 clusterRoleSelectors",
    "V1PolicyRule": "1 verbs 2 apiGroups 3 resources 4 resourceNames 5 nonResourceURLs",
    "V1RoleBinding": "1 metadata 2 subjects 3 roleRef",
    "V1ClusterRoleBinding": "1 metadata 2 subjects 3 roleRef",
    "RbacV1Subject": "1 kind 2 apiGroup 3 name 4 namespace",
    "V1RoleRef": "1 apiGroup 2 kind 3 name",
    "V1Deployment": "1 metadata 2 spec 3 status",
    "V1DeploymentSpec": "1 replicas 2 selector 3 template 4 strategy 5 minReadySeconds 6 revisionHistoryLimit "
    "7 paused 9 progressDeadlineSeconds",
    "V1DeploymentStrategy": "1 type 2 rollingUpdate",
    "V1RollingUpdateDeployment": "1 maxUnavailable 2 maxSurge",
    "V1DeploymentStatus": "1 replicas 2 updatedReplicas 3 observedGeneration 4 availableReplicas 5 unavailableReplicas "
    "7 readyReplicas",
    "V1PodTemplateSpec": "1 metadata 2 spec",
    "V1PodSpec": "1 volumes 2 containers 3 restartPolicy 4 terminationGracePeriodSeconds 5 activeDeadlineSeconds "
    "6 dnsPolicy 7 nodeSelector 8 serviceAccountName 9 serviceAccount 10 nodeName 11 hostNetwork 12 hostPID 13 hostIPC "
    "14 securityContext 15 imagePullSecrets 16 hostname 17 subdomain 19 schedulerName 20 initContainers "
    "21 automountServiceAccountToken 22 tolerations 24 priorityClassName",
    "V1Toleration": "1 key 2 operator 3 value 4 effect 5 tolerationSeconds",
    "V1PodSecurityContext": "2 runAsUser 3 runAsNonRoot 4 supplementalGroups 5 fsGroup 6 runAsGroup",
    "V1Container": "1 name 2 image 3 command 4 args 5 workingDir 6 ports 7 env 8 resources 9 volumeMounts "
    "13 terminationMessagePath 14 imagePullPolicy 16 stdin 17 stdinOnce 18 tty 20 terminationMessagePolicy",
    "V1ContainerPort": "1 name 2 hostPort 3 containerPort 4 protocol 5 hostIP",
    "V1EnvVar": "1 name 2 value",
    "V1ResourceRequirements": "1 limits 2 requests",
    "V1VolumeMount": "1 name 2 readOnly 3 mountPath 4 subPath",
    "V1Job": "1 metadata 2 spec 3 status",
    "V1JobSpec": "1 parallelism 2 completions 3 activeDeadlineSeconds 4 selector 5 manualSelector 6 template "
    "7 backoffLimit 8 ttlSecondsAfterFinished 9 completionMode 10 suspend",
    "V1JobStatus": "4 active 5 succeeded 6 failed",
    "V1CronJob": "1 metadata 2 spec 3 status",
    "V1CronJobSpec": "1 schedule 2 startingDeadlineSeconds 3 concurrencyPolicy 4 suspend 5 jobTemplate "
    "6 successfulJobsHistoryLimit 7 failedJobsHistoryLimit 8 timeZone",
    "V1CronJobStatus": "",
    "V1JobTemplateSpec": "1 metadata 2 spec",
    "V1Service": "1 metadata 2 spec 3 status",
    "V1ServiceSpec": "1 ports 2 selector 3 clusterIP 4 type 5 externalIPs 7 sessionAffinity 8 loadBalancerIP "
    "10 externalName 18 clusterIPs",
    "V1ServicePort": "1 name 2 protocol 3 port 4 targetPort 5 nodePort",
    "V1ServiceStatus": "1 loadBalancer",
    "V1LoadBalancerStatus": "",
    "V1PriorityClass": "1 metadata 2 value 3 globalDefault 4 description 5 preemptionPolicy",
    "V1ResourceQuota": "1 metadata 2 spec 3 status",
    "V1ResourceQuotaSpec": "1 hard 2 scopes",
    "V1ResourceQuotaStatus": "1 hard 2 used",
    "V1PodDisruptionBudget": "1 metadata 2 spec 3 status",
    "V1PodDisruptionBudgetSpec": "1 minAvailable 2 selector 3 maxUnavailable",
    "V1PodDisruptionBudgetStatus": "3 disruptionsAllowed 4 currentHealthy 5 desiredHealthy 6 expectedPods",
}

BYTES = frozenset({("V1Secret", "data"), ("V1ConfigMap", "binaryData")})
"""Maps of bytes, base64 in JSON."""

QUANTITIES = frozenset(
    {
        ("V1ResourceRequirements", "limits"),
        ("V1ResourceRequirements", "requests"),
        ("V1ResourceQuotaSpec", "hard"),
        ("V1ResourceQuotaStatus", "hard"),
        ("V1ResourceQuotaStatus", "used"),
    }
)
"""Maps of quantities, each a message with the text in it."""

OPTIONAL = frozenset(
    {
        "replicas",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
        "terminationGracePeriodSeconds",
        "gracePeriodSeconds",
        "orphanDependents",
        "parallelism",
        "completions",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "automountServiceAccountToken",
        "immutable",
        "suspend",
        "startingDeadlineSeconds",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
        "manualSelector",
        "runAsUser",
        "runAsNonRoot",
        "controller",
        "blockOwnerDeletion",
    }
)
"""Fields whose zero means something; every other zero only says that the field is not set."""


def _read(text: str) -> dict[int, str]:
    words = text.split()
    return {int(number): name for number, name in zip(words[::2], words[1::2], strict=True)}


NUMBERS: dict[str, dict[int, str]] = {name: _read(text) for name, text in _FIELDS.items()}
