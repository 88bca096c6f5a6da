obj.spec.state = "ENABLED"
return obj
