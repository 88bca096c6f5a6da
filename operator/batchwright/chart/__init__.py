"""What of the Helm chart is generated: values and their schema, the CRDs, the admission policies. Development only."""
