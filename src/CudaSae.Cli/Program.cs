Console.WriteLine("cudasae");
