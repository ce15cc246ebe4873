#!/usr/bin/env pwsh
# Verbs over plain commands; each is printed before it runs.   build.ps1 VERB
# build|test|quick|train|verify|bench|micro|pack|tool|release|native|border|kernels|emulator|deep|hard|faults|nvcc
# build.sh has the same verbs and commands. The last eleven need bash (Linux or WSL).
param([string]$verb = "build", [Parameter(ValueFromRemainingArguments = $true)][string[]]$rest = @())
$ErrorActionPreference = "Stop"
Set-Location $PSScriptRoot
$commands = @{
    build    = @("dotnet", "build", "-c", "Release")
    test     = @("dotnet", "test")
    quick    = @("dotnet", "test", "--filter-not-trait", "speed=slow")
    train    = @("dotnet", "run", "-c", "Release", "--project", "src/CudaSae.Cli", "--", "train")
    verify   = @("dotnet", "run", "-c", "Release", "--project", "src/CudaSae.Cli", "--", "verify")
    bench    = @("dotnet", "run", "-c", "Release", "--project", "bench/CudaSae.Bench", "--")
    micro    = @("dotnet", "run", "-c", "Release", "--project", "bench/CudaSae.Micro", "--")
    pack     = @("bash", "build/consumer.sh")
    tool     = @("bash", "build/tool.sh")
    release  = @("bash", "build/release.sh")
    native   = @("bash", "build/native.sh")
    border   = @("bash", "build/border.sh")
    kernels  = @("bash", "build/kernel-gate.sh")
    emulator = @("bash", "build/emulator.sh")
    deep     = @("bash", "build/emulator-deep.sh")
    hard     = @("bash", "build/emulator-hard.sh")
    faults   = @("bash", "build/faults.sh")
    nvcc     = @("bash", "build/install-nvcc.sh")
}
if (-not $commands.ContainsKey($verb)) {
    Write-Error "build.ps1: unknown verb '$verb'; use one of $($commands.Keys -join ', ')"
    exit 2
}
$command = $commands[$verb] + $rest
Write-Host "+ $command"
& $command[0] $command[1..($command.Length - 1)]
exit $LASTEXITCODE
