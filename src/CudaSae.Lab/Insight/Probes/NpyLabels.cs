using System.Runtime.InteropServices;
using CudaSae.Files;

namespace CudaSae.Lab.Insight.Probes;

/// <summary>Labels in numpy's .npy, [rows] or [rows, questions] or [rows, height, width]: integers are classes (−1:
/// unlabelled), bool and floats of 0 and 1 are no and yes.</summary>
static class NpyLabels
{
    /// <param name="rows">Of the activations.</param>
    /// <exception cref="SaeException">It is damaged, has another number of rows, or holds what is no label.</exception>
    public static Labels Read(string path, long rows)
    {
        using var file = new MappedFile(path);
        return Read(file, rows);
    }

    internal static Labels Read(MappedFile file, long rows)
    {
        var header = NpyFile.ReadHeader(file);
        var shape = header.Shape;
        if (shape.Length is < 1 or > 3)
            throw NpyFile.Bad(file,
                $"it has {shape.Length} axes; labels are [rows], [rows, questions] or [rows, height, width]");
        if (NpzFile.TypeOf(header.Descr) is not { } type)
            throw NpyFile.Bad(file,
                $"its elements are {TensorFile.Shown(header.Descr)}; labels are integers, bool, or floats of 0 and 1");
        if (shape[0] != rows)
            throw new SaeException($"{file.Path} labels {shape[0]} rows, the data have {rows}; there must be one label "
                + "a row");
        var width = TensorFile.WidthOf(type);
        Int128 questions = shape.Skip(1).Aggregate((Int128)1, (a, b) => a * b);
        if (questions < 1 || questions > Labels.MaxQuestions)
            throw NpyFile.Bad(file, $"it asks {questions} questions of a row; 1 to {Labels.MaxQuestions} are possible");
        if (file.Length - header.DataOffset != rows * questions * width)
            throw NpyFile.Bad(file,
                $"{rows} × {questions} elements need {rows * questions * width} bytes, it has "
                    + $"{file.Length - header.DataOffset}; it is truncated or damaged");
        if (rows is < 1 or > int.MaxValue)
            throw new SaeException($"{file.Path} labels {rows} rows; 1 to {int.MaxValue} can be probed");
        var columns = Columns(file, header.DataOffset, type, (int)rows, (int)questions);
        return new(Questions(file.Path, type, columns), columns)
        {
            Grid = shape.Length == 3 ? ((int)shape[1], (int)shape[2]) : null
        };
    }

    static short[][] Columns(MappedFile file, long start, string type, int rows, int questions)
    {
        short[][] columns = [.. Enumerable.Range(0, questions).Select(_ => new short[rows])];
        var (width, flag) = (TensorFile.WidthOf(type), IsFlag(type));
        for (var row = 0; row < rows; row++)
        {
            var bytes = file.Slice(start + (long)row * questions * width, questions * width);
            for (var q = 0; q < questions; q++)
            {
                var value = Number(type, bytes.Slice(q * width, width));
                if (flag ? value is not (0 or 1) : value is < -1 or >= Labels.MaxClasses)
                    throw NpyFile.Bad(file,
                        FormattableString.Invariant($"row {row} answers {value} to question {q}; ")
                            + FormattableString.Invariant($"{(flag ? "0 and 1 are labels of this type" : $"−1 (unlabelled) to {Labels.MaxClasses - 1} are labels")}"));
                columns[q][row] = (short)value;
            }
        }
        return columns;
    }

    static bool IsFlag(string type) => type[0] is 'B' or 'F';

    static double Number(string type, ReadOnlySpan<byte> at) => type switch
    {
        "BOOL" or "U8" => at[0],
        "I8" => (sbyte)at[0],
        "I16" => MemoryMarshal.Read<short>(at),
        "U16" => MemoryMarshal.Read<ushort>(at),
        "I32" => MemoryMarshal.Read<int>(at),
        "U32" => MemoryMarshal.Read<uint>(at),
        "I64" => MemoryMarshal.Read<long>(at),
        "U64" => MemoryMarshal.Read<ulong>(at),
        "F16" => (double)MemoryMarshal.Read<Half>(at),
        "F32" => MemoryMarshal.Read<float>(at),
        _ => MemoryMarshal.Read<double>(at),
    };

    /// <summary>All questions have the classes of the one with the most, as a board's squares do; their names are their
    /// numbers. One alone is named as its file.</summary>
    static Question[] Questions(string path, string type, short[][] columns)
    {
        string[] classes = IsFlag(type) ? ["no", "yes"]
            : [.. Enumerable.Range(0, Math.Max(1, columns.Max(c => c.Max()) + 1)).Select(c => $"{c}")];
        return [.. columns.Select((_, q) =>
            new Question(columns.Length == 1 ? Path.GetFileNameWithoutExtension(path) : $"{q}", classes)
            {
                Binary = IsFlag(type)
            })];
    }
}
