using System.CommandLine;
using System.Globalization;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>The options of <see cref="TrainConfig"/>. Each setting of the table that has an option has one
/// here.</summary>
sealed class ConfigOptions : ISettingVisitor<ConfigOptions.Made>
{
    static readonly TrainConfig Default = new();

    readonly Made[] all;

    public ConfigOptions() =>
        all = [.. ConfigSettings.All.Where(setting => setting.HasOption).Select(setting => setting.Accept(this))];

    public IEnumerable<Option> Options => all.Select(made => made.Option);

    /// <summary>Returns a config with the values that the command line gives.</summary>
    /// <param name="only">Settings to apply, by the names of their properties; none for all.</param>
    public TrainConfig Over(ParseResult parsed, TrainConfig config, params ReadOnlySpan<string> only)
    {
        foreach (var made in all)
            if ((only.IsEmpty || only.Contains(made.Setting.Property)) && Settings.Given(parsed, made.Option))
                config = made.Apply(parsed, config);
        return config;
    }

    public Made Visit<T>(ConfigSetting<T> setting) => new Made<T>(setting, setting.Property switch
    {
        nameof(TrainConfig.DevicePool) => (Option<T>)(Option)DevicePool(setting),
        nameof(TrainConfig.NonFinite) => (Option<T>)(Option)Cli.Options.Without(setting.Flag, HelpOf(setting),
            Default.NonFinite, NonFiniteRows.Replace),
        _ => Cli.Options.New(setting.Flag, HelpOf(setting), setting.Get(Default), setting.Values),
    });

    static string HelpOf(Setting setting) => SettingSpelling.ForCommandLine(setting.Help);

    static Option<long> DevicePool(ConfigSetting setting) => new(setting.Flag)
    {
        Description = HelpOf(setting),
        HelpName = "auto|off|bytes",
        DefaultValueFactory = _ => TrainConfig.AutoPool,
        CustomParser = result =>
        {
            var word = result.Tokens[0].Value;
            if (word == "auto") return TrainConfig.AutoPool;
            if (word == "off") return 0;
            if (Bytes(word) is > 0 and var bytes) return bytes;
            result.AddError($"{setting.Flag} {word}: it must be auto, off, or bytes such as 16GiB");
            return default;
        },
    };

    /// <summary>Parses a whole number of bytes, KiB, MiB or GiB; returns null for anything else.</summary>
    static long? Bytes(string word)
    {
        var shift = word.Length > 3 ? word[^3..] switch { "KiB" => 10, "MiB" => 20, "GiB" => 30, _ => 0 } : 0;
        return long.TryParse(shift > 0 ? word[..^3] : word, NumberStyles.None, CultureInfo.InvariantCulture,
            out var number) && number <= long.MaxValue >> shift ? number << shift : null;
    }

    /// <summary>A setting and its option.</summary>
    public abstract class Made(ConfigSetting setting, Option option)
    {
        public ConfigSetting Setting => setting;

        public Option Option => option;

        public abstract TrainConfig Apply(ParseResult parsed, TrainConfig config);
    }

    sealed class Made<T>(ConfigSetting<T> setting, Option<T> option) : Made(setting, option)
    {
        public override TrainConfig Apply(ParseResult parsed, TrainConfig config) =>
            setting.With(config, parsed.GetValue(option)!);
    }
}
